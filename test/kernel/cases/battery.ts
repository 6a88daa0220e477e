import type { Flow } from '../bench.js';
import type { Pieces } from '../generate.js';
import { IN, made, nft, type KernelCase } from './case.js';

/**
 * Many tests at once: each rule sets its own bit of the packet's mark where its test holds, so that one packet asks up to 30
 * of them, and the mark that leaves names the one that the engine understands differently.
 */
interface Battery {
  readonly name: string;
  readonly flows: readonly Flow[];
  readonly tests: readonly string[];
  /** Besides the tests. */
  readonly pieces?: Partial<Pieces>;
}

const AT_ONCE = 30;

function bits(
  { name, flows, tests, pieces }: Battery,
  rules: (marked: readonly (readonly [test: string, bit: string])[]) => Partial<Pieces>,
): readonly KernelCase[] {
  return Array.from({ length: Math.ceil(tests.length / AT_ONCE) }, (_, part) => {
    const few = tests.slice(part * AT_ONCE, (part + 1) * AT_ONCE);
    const {
      rules4 = [],
      rules6 = [],
      nft: chains = [],
    } = rules(few.map((test, at) => [test, `0x${(2 ** at).toString(16)}`] as const));
    const asked = made(name, IN, {
      ...pieces,
      rules4: [...rules4, ...(pieces?.rules4 ?? [])],
      rules6: [...rules6, ...(pieces?.rules6 ?? [])],
      nft: chains,
    }).pieces;
    return flows.map((flow): KernelCase => ({
      name: `${name} ${part + 1}: ${wordsOf(flow)}`,
      flow,
      pieces: asked,
      sharesRules: true,
    }));
  }).flat();
}

function wordsOf({ direction, protocol, src, dst, dport, mark, uid, type, code }: Flow): string {
  const kind = type === undefined ? '' : ` ${type}/${code ?? 0}`;
  return `${direction} ${protocol}${kind} ${src} to ${dst}, port ${dport}, mark ${mark}, uid ${uid}`;
}

export const iptables = (chain: string, battery: Battery): readonly KernelCase[] =>
  bits(battery, (asked) => {
    const rules = asked.map(([test, bit]) => `${chain} ${test} -j MARK --set-xmark ${bit}/${bit}`);
    return battery.flows[0]?.src.includes(':') === true ? { rules6: rules } : { rules4: rules };
  });

export const nftables = (chain: string, head: string, battery: Battery): readonly KernelCase[] =>
  bits(battery, (asked) => ({
    nft: [nft(chain, head, ...asked.map(([test, bit]) => `${test} meta mark set meta mark | ${bit}`))],
  }));

export const PROTOCOLS = ['tcp', 'udp', 'icmp'] as const;
export const all = (flow: Flow): readonly Flow[] => PROTOCOLS.map((protocol) => ({ ...flow, protocol }));
export const both = (...tests: readonly string[]): readonly string[] =>
  tests.flatMap((test) => [test, test.replace(/--/, '! --')]);
export const differ = (...tests: readonly string[]): readonly string[] =>
  tests.flatMap((test) => [test, test.replace(/ (?=\S+$)/, ' != ')]);

/** Several packets against the same rules. */
export function several(name: string, flows: readonly Flow[], pieces: Partial<Pieces>): readonly KernelCase[] {
  const { pieces: rules } = made(name, IN, pieces);
  return flows.map((flow) => ({ name: `${name}: ${wordsOf(flow)}`, flow, pieces: rules, sharesRules: true }));
}

/** The packet, sent to each of them. */
export const to = (flow: Flow, ...dst: readonly string[]): readonly Flow[] => dst.map((one) => ({ ...flow, dst: one }));
