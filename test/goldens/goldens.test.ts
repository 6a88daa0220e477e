import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Chalk } from 'chalk';
import { describe, expect, it } from 'vitest';
import { answer } from '../../src/commands/_answer.js';
import type { QuestionWords } from '../../src/commands/_question.js';
import { renderJson } from '../../src/render/json.js';
import { renderText } from '../../src/render/text.js';
import { openSnapshot } from '../../src/snapshot/open.js';
import type { Snapshot } from '../../src/snapshot/snapshot.js';

/**
 * One folder a story: story.json names the snapshot and the questions, beside it stand the expected text and JSON.
 * `npm run goldens` writes them anew; what changed is reviewed as text.
 */
interface Story {
  readonly about: string;
  readonly snapshot: string;
  readonly cases: readonly (QuestionWords & { readonly name: string; readonly verbose?: boolean; readonly without?: readonly string[] })[];
}

const ROOT = import.meta.dirname;
const UPDATE = process.env['UPDATE_GOLDENS'] === '1';

function without(snapshot: Snapshot, files: readonly string[]): Snapshot {
  return {
    ...snapshot,
    list: (folder) => snapshot.list(folder).filter((name) => !files.includes(`${folder}/${name}`)),
    read: (file) =>
      files.includes(file) ? { kind: 'missing', path: file, reason: 'pods/exec is forbidden' } : snapshot.read(file),
  };
}

function hold(file: string, text: string): void {
  if (UPDATE) writeFileSync(file, text);
  expect(existsSync(file), `${file} is missing: npm run goldens`).toBe(true);
  expect(text).toBe(readFileSync(file, 'utf8'));
}

for (const story of readdirSync(ROOT, { withFileTypes: true }).filter((entry) => entry.isDirectory())) {
  const folder = path.join(ROOT, story.name);
  describe(story.name, async () => {
    const { snapshot: file, cases } = JSON.parse(readFileSync(path.join(folder, 'story.json'), 'utf8')) as Story;
    const snapshot = await openSnapshot(path.join(folder, file));
    const expected = new Set(['story.json']);
    for (const { name, verbose = false, without: missing = [], ...words } of cases) {
      expected.add(`${name}.txt`);
      if (!verbose) expected.add(`${name}.json`);
      it(name, () => {
        const trace = answer(without(snapshot, missing), words);
        const text = renderText(trace, { verbose, color: new Chalk({ level: 0 }), columns: 80, unicode: true, command: null });
        expect(text.split('\n').filter((line) => [...line].length > 80)).toEqual([]);
        hold(path.join(folder, `${name}.txt`), text);
        if (!verbose) hold(path.join(folder, `${name}.json`), renderJson(trace));
      });
    }
    it('has no file that no case expects', () => {
      const orphans = readdirSync(folder).filter((entry) => !expected.has(entry));
      if (UPDATE) for (const orphan of orphans) rmSync(path.join(folder, orphan));
      else expect(orphans).toEqual([]);
    });
  });
}
