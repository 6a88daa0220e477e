import { answerLine, type NetnsAnswerOutcome } from '../../src/netns/eval.js';
import type { NetnsOutcome } from '../../src/netns/face.js';
import type { Files } from './netns-files.js';
import { FILES } from './two-devices.js';
import { namespaceOf } from './vectors.js';

/** Many matches asked at once: each sets a bit of the mark where it holds. */

/** Of the table mangle. */
export const rules = (...lines: readonly string[]): Files => ({
  'iptables-save.txt': `*mangle\n${lines.map((line) => `-A ${line}\n`).join('')}COMMIT\n`,
});
/** The first match sets bit 0 in this chain, the next one bit 1, and so on. */
export const bits = (chain: string, ...matches: readonly string[]): Files =>
  rules(
    ...matches.map((match, at) => {
      const bit = `0x${(2 ** at).toString(16)}`;
      return `${chain} ${match} -j MARK --set-xmark ${bit}/${bit}`;
    }),
  );
export const marks = (outcomes: readonly NetnsOutcome[]): readonly string[] =>
  outcomes.map(({ verdict, mark }) => `${verdict} ${mark}`).sort();

/** What `eval` says of the first packet of a TCP connection with what `question` changes; throws where it is an error. */
export function evaluate(files: Files, question: object): readonly NetnsAnswerOutcome[] {
  const base = { id: 1, direction: 'in', iif: 'eth0', protocol: 'tcp', src: '10.0.0.9:4000', dst: '10.0.0.5:80' };
  const answer = answerLine(namespaceOf({ ...FILES, ...files }), JSON.stringify({ ...base, ...question }));
  if ('error' in answer) throw new Error(answer.error);
  return answer.outcomes;
}
export const ends = (outcomes: readonly NetnsAnswerOutcome[]): readonly string[] =>
  outcomes.map(({ verdict, mark }) => `${verdict} ${mark}`).sort();
