import type { Evidence } from '../formats/evidence.js';
import type { Check, CheckContext } from './context.js';
import { Results } from './result.js';

interface Damage {
  readonly message: string;
  readonly evidence: Evidence;
}

/** A file that is there, and that could not be read whole: what it says beyond the damage is not known. */
export const check: Check = {
  code: 'MP9005',
  title: 'A file of the snapshot is damaged',
  severity: 'warning',
  // It explains nothing of the mesh, only why the answer knows less.
  depth: 2,
  inputs: [],
  mayRead: ['kubernetes/*', 'nodes/*/netns/*', 'pods/*/*/*/*'],
  run: (context) => {
    const results = new Results();
    for (const [file, { message, evidence }] of damagedFiles(context)) {
      results.find({
        subject: { kind: 'File', namespace: null, name: file },
        message: `${file} could not be read whole: ${message}. What could be read of it is used; the rest is not known.`,
        fix: 'Capture again (`meshpath capture`), or replace the file by what its tool prints.',
        evidence: [evidence],
        effect: null,
      });
    }
    return results.result();
  },
};

/** One entry a file, the first that is wrong with it, in order of the paths. */
function damagedFiles(context: CheckContext): readonly (readonly [string, Damage])[] {
  const found = new Map<string, Damage>();
  const note = (file: string, message: string, evidence: Evidence): void => {
    if (!found.has(file)) found.set(file, { message: message.replace(/\.$/, ''), evidence });
  };
  for (const { message, ...place } of [...(context.snapshot.problems ?? []), ...context.mesh.problems()]) {
    note(place.file, message, { ...place, text: message });
  }
  for (const { fact, reason } of context.lacking) {
    const file = FILE.exec(fact)?.[0];
    if (file === undefined) continue;
    const read = context.snapshot.read(file);
    if (read.kind === 'missing' || (read.kind === 'text' && !DAMAGE.test(reason))) continue;
    const line = /\(line (\d+)\)/.exec(reason)?.[1];
    note(file, reason, { file, ...(line === undefined ? {} : { line: Number(line) }), text: reason });
  }
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1));
}

const FILE = /\b(kubernetes|nodes|pods)\/[\w./-]+\.(json|txt|log)/;
/** How the readers speak of a file that is there and does not end, or does not read, as it should. */
const DAMAGE =
  /damaged|not JSON|not a JSON|no ztunnel config_dump|truncated|cut off|ends early|Unexpected|Unterminated/i;
