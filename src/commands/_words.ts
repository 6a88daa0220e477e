import { parseReference } from '../mesh/reference.js';
import { splitCluster } from '../snapshot/clusters.js';
import { ExpectedError } from './_errors.js';

/** Throws where the words can mean nothing in any cluster: nothing is asked of one then. */
export function checkWords(words: { readonly from: string; readonly to: string }, contexts: readonly string[]): void {
  for (const [argument, text] of [
    ['FROM', words.from],
    ['TO', words.to],
  ] as const) {
    const plain = splitCluster(text, contexts).words;
    // behind an @ stands a context, whose name only its kubeconfig tells
    if (plain.includes('@')) continue;
    const reference = parseReference(plain);
    if (reference.form === 'invalid') throw new ExpectedError(`${argument}: "${text}": ${reference.reason}`, 2);
  }
}
