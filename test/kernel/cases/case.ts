import type { Flow } from '../bench.js';
import type { Pieces } from '../generate.js';

/** Cases made by hand, each for one thing that the kernel does and that an engine may get wrong. */
export interface KernelCase {
  readonly name: string;
  readonly pieces: Pieces;
  readonly flow: Flow;
  /** Neighbours with the same rules are sent one after the other, each from the port that it names. */
  readonly sharesRules?: true;
}

export const IN: Flow = {
  direction: 'in',
  iif: 'eth0',
  protocol: 'tcp',
  src: '10.244.1.1',
  dst: '10.1.0.5',
  sport: 22573,
  dport: 443,
  mark: 0,
  uid: 1000,
  gid: 1000,
};

export const IN6: Flow = { ...IN, src: 'fd00:1::77', dst: 'fd00:1::5', dport: 8080 };

export const OUT: Flow = { ...IN, direction: 'out', iif: null, src: '10.1.0.5', dst: '10.1.0.5' };

export function made(name: string, flow: Flow, pieces: Partial<Pieces>): KernelCase {
  return { name, flow, pieces: { seed: 0, rules4: [], rules6: [], policies: [], nft: [], shell: [], ...pieces } };
}

/** The same packet against one rule after the other. */
export function each(
  name: string,
  flow: Flow,
  rules: readonly string[],
  pieces: (rule: string) => Partial<Pieces>,
): readonly KernelCase[] {
  return rules.map((rule) =>
    made(`${name}: ${flow.protocol} ${flow.src} to ${flow.dst}, port ${flow.dport}, ${rule}`, flow, pieces(rule)),
  );
}

export const nft = (chain: string, head: string, ...rules: readonly string[]): Pieces['nft'][number] => ({
  chain,
  head,
  rules,
});

export const raw = (...rules: readonly string[]): Pick<Pieces, 'nft'> => ({
  nft: [nft('pre_raw', 'type filter hook prerouting priority -300; policy accept;', ...rules)],
});

export const outNat = (...rules: readonly string[]): Pick<Pieces, 'nft'> => ({
  nft: [nft('out_n', 'type nat hook output priority -100; policy accept;', ...rules)],
});

export const overLo = (protocol: Flow['protocol']): Partial<Flow> => ({
  direction: 'out',
  iif: null,
  protocol,
  dport: 80,
});

/** From one device to the other. */
export const THROUGH: Flow = { ...IN, dst: '10.1.0.77' };
/** Made here, out of eth0. */
export const SENT: Flow = { ...OUT, src: '10.244.1.5', dst: '10.244.2.9' };
export const THROUGH6: Flow = { ...IN6, src: 'fd00:244:1::9', dst: 'fd00:1::77' };
