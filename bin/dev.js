#!/usr/bin/env node
// Builds from source, then runs: what a developer calls instead of `npm run build && bin/run.js`.
await import('../scripts/build.js');
const { main } = await import('../dist/main.js');
await main(import.meta.url);
