/** Ranges of the flags that are numbers, for the framework and for the fast lane alike (the manifest leaves them out). */
export const PORT = { min: 1, max: 65535 };
export const CONCURRENCY = { min: 1, max: 64 };
