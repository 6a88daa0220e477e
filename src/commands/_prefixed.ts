/** A copy in which every `file` begins with the prefix: evidence from one of several clusters, as a path of the snapshot. */
export function prefixed<T>(value: T, prefix: string): T;
export function prefixed(value: unknown, prefix: string): unknown {
  if (prefix === '' || typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((item: unknown) => prefixed(item, prefix));
  return Object.fromEntries(
    Object.entries(value).map(([key, item]: [string, unknown]) => [
      key,
      key === 'file' && typeof item === 'string' ? prefix + item : prefixed(item, prefix),
    ]),
  );
}
