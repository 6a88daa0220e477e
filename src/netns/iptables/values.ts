import type { RuleMatch, RuleOption, RuleTarget } from '../../formats/iptables-save.js';

/** Reading the options of one match or target; what is left over at the end was not understood. */
export class Options {
  private readonly left: Map<string, RuleOption>;
  readonly duplicated: boolean;

  constructor(from: RuleMatch | RuleTarget) {
    this.left = new Map(from.options.map((option) => [option.name, option]));
    this.duplicated = this.left.size !== from.options.length;
  }

  take(...names: readonly string[]): RuleOption | null {
    for (const name of names) {
      const option = this.left.get(name);
      if (option === undefined) continue;
      this.left.delete(name);
      return option;
    }
    return null;
  }

  /** The option without values: `--nowildcard`. */
  flag(name: string): boolean {
    return this.take(name) !== null;
  }

  /** The first value of an option that cannot be negated. */
  value(...names: readonly string[]): string | null {
    return this.take(...names)?.values[0] ?? null;
  }

  get done(): boolean {
    return this.left.size === 0 && !this.duplicated;
  }
}

interface MaskedValue {
  readonly value: number;
  readonly mask: number;
}

/** `0x1/0xff`, `5`. */
export function maskedValue(text: string | undefined): MaskedValue | null {
  const match = /^(0x[0-9a-fA-F]{1,8}|\d{1,10})(?:\/(0x[0-9a-fA-F]{1,8}|\d{1,10}))?$/.exec(text ?? '');
  if (match?.[1] === undefined) return null;
  return { value: Number(match[1]) >>> 0, mask: match[2] === undefined ? 0xffffffff : Number(match[2]) >>> 0 };
}

export interface NumberRange {
  readonly from: number;
  readonly to: number;
}

/** `80`, `80:90`, `:90`, `80:`; also with a dash where the option prints one. Service names are not in save output. */
export function numberRange(text: string | undefined, max: number, separator = ':'): NumberRange | null {
  if (text === undefined || text === '') return null;
  const cut = text.indexOf(separator);
  const low = cut < 0 ? text : text.slice(0, cut);
  const high = cut < 0 ? text : text.slice(cut + 1);
  const from = low === '' ? 0 : decimal(low);
  const to = high === '' ? max : decimal(high);
  return from === null || to === null || from > max || to > max ? null : { from, to };
}

function decimal(text: string): number | null {
  return /^\d{1,10}$/.test(text) ? Number(text) : null;
}
