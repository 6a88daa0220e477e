import type { Flow } from '../bench.js';
import { ADDRESSES, ADDRESSES6, MARKS, PORTS, UIDS } from '../pools.js';
import type { Random } from '../random.js';

/** What random packets carry. */
export interface Pools {
  readonly addresses4: readonly string[];
  readonly addresses6: readonly string[];
  readonly ports: readonly number[];
  readonly marks: readonly number[];
  readonly uids: readonly number[];
}

export const POOLS: Pools = {
  addresses4: ADDRESSES,
  addresses6: ADDRESSES6,
  ports: PORTS,
  marks: [0, 0, 0, ...MARKS.map(Number)],
  uids: UIDS,
};

/** Networks that are no unicast, sources that are none. */
const ODD_SOURCES = ['0.0.0.0', '169.254.1.1', '224.0.0.5', '240.0.0.1', '255.255.255.255', '10.9.0.7'];
const ODD_TARGETS = ['169.254.169.254', '240.0.0.1', '10.9.0.7', '10.9.1.7'];
const ODD_SOURCES6 = ['fe80::77', '::', 'ff02::5', '2001:db8:0:1::9'];
const ODD_TARGETS6 = ['fe80::77', '2001:db8:0:1::9', 'fd00:96::7'];

export function packet(random: Random, number: number, pools: Pools): Flow {
  const six = random.chance(0.25);
  const own = six ? ['fd00:244:1::5', 'fd00:1::5'] : ['10.244.1.5', '10.1.0.5', '172.18.0.3'];
  const all = six ? pools.addresses6 : pools.addresses4;
  const local = six ? '::1' : '127.0.0.1';
  const out = random.chance(0.5);
  const protocol = random.pick(['tcp', 'tcp', 'tcp', 'udp', 'udp', 'icmp'] as const);
  const dst = random.pick(random.chance(0.4) ? own : all);
  const ports = { sport: 20000 + (number % 20000), dport: random.pick(pools.ports) };
  const who = { uid: random.pick(pools.uids), gid: random.pick(pools.uids) };
  if (out) {
    const bound = dst.startsWith('127.') || dst === '::1' ? local : random.pick(own);
    // an unbound socket: the kernel chooses the source
    const src = random.chance(0.2) ? (six ? '::' : '0.0.0.0') : bound;
    const mark = random.pick(pools.marks);
    return { direction: 'out', iif: null, protocol, src, dst, ...ports, mark, ...who };
  }
  const iif = random.pick(['eth0', 'eth1']);
  // sources of this machine and of 127/8 are tried too: martians
  const src = random.pick(random.chance(0.04) ? (six ? ODD_SOURCES6 : ODD_SOURCES) : all);
  const to = random.chance(0.04) ? random.pick(six ? ODD_TARGETS6 : ODD_TARGETS) : dst;
  return { direction: 'in', iif, protocol, src, dst: to, ...ports, mark: 0, ...who };
}

/** Packets drawn from the pools; `first`: the number of the first one, of which its source port is made. */
export function packets(random: Random, first: number, count: number, pools: Pools): readonly Flow[] {
  return Array.from({ length: count }, (_, at) => packet(random, first + at, pools));
}
