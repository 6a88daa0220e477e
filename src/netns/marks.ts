import type { Evidence } from '../formats/evidence.js';
import type { Flow, Words } from './flow.js';

const markWords: Words = (step) => `mark becomes 0x${step.mark.toString(16)}`;

/** Writes the packet's mark (unsigned, 32 bits); a step where it changes. */
export function setMark(flow: Flow, mark: number, evidence: Evidence): void {
  if (mark === flow.mark) return;
  flow.mark = mark;
  flow.note('netfilter', markWords, evidence);
}

/** Writes the connection's mark, if the packet has a connection; a step where it changes. */
export function setConnmark(flow: Flow, mark: number, evidence: Evidence): void {
  if (flow.ct === null || flow.ct.mark === mark) return;
  flow.ct.mark = mark;
  flow.note('netfilter', () => `connection mark becomes 0x${mark.toString(16)}`, evidence);
}
