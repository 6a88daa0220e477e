#!/usr/bin/env node
// Builds from source, then runs: what a developer calls instead of `npm run build && bin/run.js`.
void import('../scripts/build.js').then(() => require('./run.js'));
