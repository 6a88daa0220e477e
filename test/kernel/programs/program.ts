import type { Flow, RuleSet } from '../bench.js';
import { POOLS, type Pools } from '../generate/packets.js';

/** The rules of one program, as it would write them on a machine with the bench's devices and addresses. */
export interface Program {
  readonly name: string;
  readonly rules: RuleSet;
}

/** A few rules, and packets that show what they say. */
export interface Form extends Program {
  readonly flows: readonly Flow[];
  /** Its files leave open what becomes of a packet: a fork is the answer. */
  readonly open?: true;
}

/** nft wants an end of line, or a semicolon, after each statement: chains written in one line, "{ a; b }", get them. */
export function chainsInLines(text: string): string {
  return text.replaceAll(/^( *chain [^{\n]*\{)(.*)\}$/gm, (_, head: string, body: string) =>
    [head, ...body.split('; ').map((one) => one.trim()), '}'].join('\n'),
  );
}

function unique<T>(list: readonly T[]): readonly T[] {
  return [...new Set(list)];
}

/** The addresses, ports, marks and users that rules name, beside those of the bench. */
export function poolsNamedIn(text: string): Pools {
  const found = (pattern: RegExp): readonly string[] =>
    [...text.matchAll(pattern)].map((match) => match[1] ?? match[0]);
  const usable = (ip: string): boolean => !ip.startsWith('0.') && !/^(22[4-9]|2[3-5]\d)\./.test(ip);
  return {
    addresses4: unique([...POOLS.addresses4, ...found(/\b(?:\d{1,3}\.){3}\d{1,3}\b/g).filter(usable)]),
    addresses6: POOLS.addresses6,
    ports: unique([...POOLS.ports, ...found(/(?:port|ports|dports) (\d{1,5})\b/g).map(Number)]),
    marks: unique([0, 0, ...found(/mark (0x[0-9a-f]+)/g).map(Number), ...POOLS.marks]).filter(
      (mark) => mark <= 0xffffffff,
    ),
    uids: unique([...POOLS.uids, ...found(/owner (\d+)/g).map(Number)]),
  };
}
