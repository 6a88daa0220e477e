import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { answer } from '../../src/commands/_answer.js';
import { FindError, type QuestionWords } from '../../src/commands/_question.js';
import { openSnapshot } from '../../src/snapshot/open.js';
import type { FileRead, Snapshot } from '../../src/snapshot/snapshot.js';
import type { Path, Trace } from '../../src/walk/trace.js';

/**
 * Take away any one file: the answer becomes unknown in part or stays as it was, never another certain one. Files that the
 * answer does not read cannot change it, so each file that it does read is taken away in turn.
 */
const ROOT = path.join(import.meta.dirname, '../fixtures/recordings');

const QUESTIONS: readonly (readonly [recording: string, options: QuestionWords])[] = [
  ['coexistence-1.18.2', { from: 'foo/sleep', to: 'bar/httpbin:8000' }],
  ['coexistence-1.18.2', { from: 'foo-sc/sleep', to: 'bar-2/helloworld:5000' }],
  ['coexistence-1.18.2', { from: 'foo/sleep', to: 'bar-2/helloworld:5000' }],
  ['coexistence-1.18.2', { from: 'default/client-plain', to: 'bar-1/httpbin:8000' }],
  ['coexistence-1.18.2-ipset-missing', { from: 'foo/sleep', to: 'bar-1/httpbin:8000' }],
  ['coexistence-1.30.3', { from: 'foo/sleep', to: 'bar-1/httpbin:8000' }],
  ['coexistence-1.30.3', { from: 'foo/sleep', to: 'bar-2/helloworld:5000', path: '/hello' }],
  ['coexistence-1.30.3', { from: 'foo-sc/sleep', to: 'bar/httpbin:8000' }],
  ['coexistence-1.30.3', { from: 'baz/sleep-plain', to: 'bar-1/httpbin:8000' }],
  ['coexistence-1.30.3', { from: 'foo/notsleep', to: 'locked/httpbin:8000' }],
  ['coexistence-1.30.3', { from: 'baz/hostnet', to: 'bar-1/httpbin:8000' }],
  ['coexistence-1.30.3', { from: 'baz/sleep-plain', to: 'baz/hostnet:18080' }],
  ['coexistence-1.30.3-legacy-backend', { from: 'foo/sleep', to: 'bar-1/httpbin:8000' }],
  ['coexistence-1.30.3-strict-plain-client', { from: 'baz/sleep-plain', to: 'bar/httpbin:8000' }],
];

/** A snapshot that notes what is read, and from which one file may be missing. */
function watched(
  inner: Snapshot,
  without: string | null,
): Snapshot & { readonly read: Snapshot['read']; readonly seen: Set<string> } {
  const seen = new Set<string>();
  return {
    ...inner,
    seen,
    list: (folder) => inner.list(folder).filter((name) => `${folder}/${name}` !== without),
    read(file): FileRead {
      const found: FileRead =
        file === without ? { kind: 'missing', path: file, reason: 'taken away' } : inner.read(file);
      if (found.kind === 'text') seen.add(file);
      return found;
    },
  };
}

function wayOf(p: Path): string {
  return JSON.stringify([
    p.verdict,
    p.encryption,
    p.stops.map((s) => [s.role, s.namespace, s.name]),
    p.links.map((l) => [l.protocol, l.to]),
  ]);
}

function answerOrUnknown(snapshot: Snapshot, options: QuestionWords): Trace | null {
  try {
    return answer(snapshot, options);
  } catch (error) {
    if (error instanceof FindError && error.exit === 3 && error.unknowns.length > 0) return null;
    throw error;
  }
}

function describeWays(trace: Trace): string {
  return trace.paths
    .map((p) => `${p.verdict} ${p.stops.map((s) => `${s.role}:${s.name}`).join(' > ')} (${p.reason})`)
    .join('\n  ');
}

for (const [recording, options] of QUESTIONS) {
  describe(`${recording}: ${options.from} to ${options.to}`, async () => {
    const snapshot = await openSnapshot(path.join(ROOT, recording, 'snapshot.tar.gz'));
    const whole = watched(snapshot, null);
    const before = answer(whole, options);
    const certain = new Set(before.paths.map(wayOf));
    for (const file of [...whole.seen].sort()) {
      it(`without ${file}`, () => {
        const after = answerOrUnknown(watched(snapshot, file), options);
        // The list that would tell what the words mean is gone: the command says so and exits with 3.
        if (after === null) return;
        const wrong = after.paths.filter((p) => p.verdict !== 'unknown' && !certain.has(wayOf(p)));
        expect(wrong.length, `answer:\n  ${describeWays(after)}\nbefore:\n  ${describeWays(before)}`).toBe(0);
        const unknown = after.paths.some((p) => p.verdict === 'unknown');
        if (unknown)
          expect(after.unknowns.length, 'an unknown verdict names the fact that is missing').toBeGreaterThan(0);
        else expect(new Set(after.paths.map(wayOf))).toEqual(certain);
      });
    }
  });
}
