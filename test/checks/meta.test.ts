import { readdirSync, readFileSync } from 'node:fs';
import { expect, describe, test } from 'vitest';
import { CHECKS } from '../../src/checks/registry.js';

const root = new URL('../../', import.meta.url);

function names(folder: string): readonly string[] {
  return readdirSync(new URL(folder, root));
}

function text(path: string): string {
  return readFileSync(new URL(path, root), 'utf8');
}

/** Codes that are kept from use: they were given once and point to another page. */
const RESERVED = ['MP1103', 'MP2003'];
const HEADINGS = [
  'What',
  'Why it matters',
  'Condition',
  'Evidence',
  'Fix',
  'Fires',
  'Does not fire',
  'When not to worry',
];

describe('the registry', () => {
  test('is what scripts/generate-checks.js writes', () => {
    const files = names('src/checks').filter((name) => /^mp\d{4}\.ts$/.test(name));
    const listed = [...text('src/checks/registry.ts').matchAll(/from '\.\/(mp\d{4})\.js'/g)].map(
      (match) => `${match[1] ?? ''}.ts`,
    );
    expect(listed).toEqual([...files].sort());
    expect(CHECKS.map((check) => `${check.code.toLowerCase()}.ts`)).toEqual([...files].sort());
  });

  test('has no code twice, and none that is reserved', () => {
    const codes = CHECKS.map((check) => check.code);
    expect(new Set(codes).size).toBe(codes.length);
    for (const code of RESERVED) expect(codes).not.toContain(code);
  });

  test('has titles that differ and fit a line', () => {
    const titles = CHECKS.map((check) => check.title);
    expect(new Set(titles).size).toBe(titles.length);
    for (const title of titles) {
      expect(title.length).toBeLessThanOrEqual(66);
      expect(title).not.toMatch(/[.!]$/);
    }
  });
});

describe.each(CHECKS.map((check) => [check.code, check] as const))('%s', (code, check) => {
  test('has its page, with every section, its title and its severity', () => {
    const page = text(`docs/codes/${code}.md`);
    expect(page.split('\n')[0]).toBe(`# ${code} ${check.title}`);
    const headings = [...page.matchAll(/^## (.+)$/gm)].map((match) => match[1]);
    expect(headings).toEqual(HEADINGS);
    const severity = /^\| severity \| (.+) \|$/m.exec(page)?.[1] ?? '';
    expect(severity).toContain(check.severity);
    for (const section of page.split(/^## .+$/m).slice(1)) expect(section.trim()).not.toBe('');
    expect(page).not.toContain('__');
  });

  test('tells its two stories as its fixtures have them', () => {
    const page = text(`docs/codes/${code}.md`);
    for (const name of ['fires', 'quiet']) {
      const story: { story: string } = JSON.parse(text(`test/checks/${code.toLowerCase()}/${name}.json`));
      expect(page).toContain(`\`test/checks/${code.toLowerCase()}/${name}.json\`: ${story.story}`);
    }
  });
});

test('no page and no fixture is left over', () => {
  const codes = CHECKS.map((check) => check.code);
  expect(
    names('docs/codes')
      .filter((name) => /^MP\d{4}\.md$/.test(name))
      .sort(),
  ).toEqual([...codes, ...RESERVED].map((code) => `${code}.md`).sort());
  const folders = names('test/checks').filter((name) => /^mp\d{4}$/.test(name));
  expect([...folders].sort()).toEqual(codes.map((code) => code.toLowerCase()).sort());
});
