import { describe, expect, test } from 'vitest';
import { answer } from '../../src/commands/_answer.js';
import type { QuestionWords } from '../../src/commands/_question.js';
import type { Snapshot } from '../../src/snapshot/snapshot.js';
import { recorded, recording } from './story.js';

/** What is not in the snapshot is not known: it never makes a finding that the whole snapshot does not make. */
const CASES: readonly (readonly [recording: string, words: QuestionWords])[] = [
  ['coexistence-1.18.2', { from: 'foo/sleep', to: 'bar/httpbin:8000' }],
  ['coexistence-1.18.2', { from: 'foo-sc/sleep', to: 'bar-1/httpbin:8000' }],
  ['coexistence-1.30.3', { from: 'foo/sleep', to: 'bar-1/httpbin-local:8000' }],
];

/** Without these nobody knows what was asked. */
const NEEDED = ['kubernetes/pods.json', 'kubernetes/services.json'];

describe.each(CASES)('%s %o', (name, words) => {
  test('any one file may be missing', async () => {
    const whole = await recording(name);
    const asked = new Set<string>();
    const told = new Set(answer(recorded(whole, asked), words).findings.map((finding) => finding.code));
    const files = [...asked].filter((file) => !NEEDED.includes(file) && whole.read(file).kind === 'text');
    expect(files.length).toBeGreaterThan(20);
    for (const file of files) {
      const { findings } = answer(without(whole, file), words);
      expect(
        findings.filter((finding) => !told.has(finding.code)).map((finding) => `${finding.code} ${finding.message}`),
        file,
      ).toEqual([]);
    }
  });
});

function without(snapshot: Snapshot, file: string): Snapshot {
  return {
    name: snapshot.name,
    manifest: snapshot.manifest,
    list: (folder) => snapshot.list(folder),
    read: (path) => (path === file ? { kind: 'missing', path, reason: 'taken out' } : snapshot.read(path)),
  };
}

test('what is missing of IPv6 leaves a finding about IPv4 as it is', async () => {
  const whole = await recording('coexistence-1.30.3-inpod-rules-flushed');
  const words = { from: 'foo/sleep', to: 'bar-1/httpbin:8000' };
  const dual: Snapshot = {
    name: whole.name,
    manifest: whole.manifest,
    list: (folder) => whole.list(folder),
    read(path) {
      if (path.endsWith('/ip6-rule.json')) return { kind: 'missing', path, reason: 'taken out' };
      const file = whole.read(path);
      if (file.kind !== 'text' || !path.endsWith('/netns/ip-address.json')) return file;
      return { ...file, text: file.text.replaceAll('"local":"fe80::', '"local":"fd00::') };
    },
  };
  const codes = answer(dual, words).findings.map(({ code }) => code);
  expect(codes).toContain('MP1001');
});
