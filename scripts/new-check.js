// node scripts/new-check.js MP1234 "Title": the file of a check, its page and its fixtures, from the templates.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import path from 'node:path';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const [code, title] = process.argv.slice(2);
if (code === undefined || title === undefined || !/^MP\d{4}$/.test(code)) {
  console.error('usage: node scripts/new-check.js MP1234 "Title of the finding"');
  process.exit(2);
}
const lower = code.toLowerCase();

function fill(template, target) {
  const file = path.join(root, target);
  if (existsSync(file)) {
    console.error(`${target} is there already`);
    process.exit(2);
  }
  const text = readFileSync(path.join(root, template), 'utf8');
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, text.replaceAll('__CODE__', code).replaceAll('__TITLE__', title).replaceAll('__lower__', lower));
  console.log(target);
}

fill('src/checks/_template/check.ts.txt', `src/checks/${lower}.ts`);
fill('src/checks/_template/page.md', `docs/codes/${code}.md`);
fill('test/checks/_template/fires.json', `test/checks/${lower}/fires.json`);
fill('test/checks/_template/quiet.json', `test/checks/${lower}/quiet.json`);
execFileSync(process.execPath, [path.join(root, 'scripts/generate-checks.js')], { stdio: 'inherit' });
