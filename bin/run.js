#!/usr/bin/env node
// CommonJS (package.json beside it): the loader of ES modules alone takes a tenth of the start of Node.
const path = require('node:path');

require('node:module').enableCompileCache?.();
void require('../dist/main.cjs').main(path.dirname(__dirname));
