import type { Unknown } from '../formats/evidence.js';
import type { CheckResult, Draft } from './context.js';

/** Collects what a check finds while it goes through its subjects. */
export class Results {
  private readonly drafts: Draft[] = [];
  private readonly unknowns: Unknown[] = [];

  find(draft: Draft): void {
    this.drafts.push(draft);
  }

  /** A fact that would decide. */
  open(unknown: Unknown | null): void {
    if (unknown !== null) this.unknowns.push(unknown);
  }

  result(): CheckResult {
    return { drafts: this.drafts, unknowns: this.unknowns };
  }
}

/** `a, b and c`. */
export function listed(words: readonly string[]): string {
  if (words.length <= 1) return words[0] ?? '';
  return `${words.slice(0, -1).join(', ')} and ${words[words.length - 1] ?? ''}`;
}
