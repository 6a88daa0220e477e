import { stringOf, stringsOf, type JsonObject } from '../../formats/netns-json.js';
import { isLinkGroup4, isLinkLocal6, isMulticast, type Family } from '../address.js';
import type { Flow } from '../flow.js';
import { isRouteError, isSubnetRouters, usesDevice, type RouteResult } from '../route-result.js';
import type { RouteKey } from '../routing.js';
import type { Runtime } from '../runtime.js';
import type { Expression, NftContext } from './context.js';
import { RTN } from './value.js';

/** nft_fib4_eval, nft_fib6_eval and their _type kin (linux net/ipv4/netfilter/nft_fib_ipv4.c, v6.12). */
export function fib(json: JsonObject, { family, runtime }: NftContext): Expression | null {
  const result = stringOf(json['result']);
  const flag = json['flags'];
  const flags = new Set(typeof flag === 'string' ? [flag] : stringsOf(flag));
  const daddr = flags.has('daddr');
  const deviceOf = (flow: Flow): string | null => (flags.has('iif') ? flow.iif : flags.has('oif') ? flow.oif : null);
  if (result === 'type') {
    return {
      get: (flow) => {
        const addr = daddr ? flow.dst : flow.src;
        const device = deviceOf(flow);
        if (family === 4) return RTN[runtime.addressType(4, addr, device, flow)];
        return fibType6(runtime, fibKey(flow, flags, 'lo'), device, flow);
      },
      kinds: ['fibtype'],
    };
  }
  if (result !== 'oif' && result !== 'oifname') return null;
  return {
    get: (flow) => fibDevice(flow, runtime, flags, deviceOf(flow)) ?? '',
    // `exists` and `missing` stand there as true and false
    kinds: [result === 'oif' ? 'ifindex' : 'ifname'],
  };
}

/**
 * What is looked up: with the protocol, without ports; a device only for link-local addresses (nft_fib6_flowi_init, linux
 * net/ipv6/netfilter/nft_fib_ipv6.c, v6.12).
 */
function fibKey(flow: Flow, flags: ReadonlySet<string>, iif: string): RouteKey {
  const daddr = flags.has('daddr');
  const dst = daddr ? flow.dst : flow.src;
  const six = flow.family === 6;
  return {
    dst,
    src: daddr ? flow.src : flow.dst,
    iif,
    oif: six && isLinkLocal6(dst) ? (flags.has('oif') ? flow.oif : flow.iif) : null,
    mark: flags.has('mark') ? flow.mark : 0,
    uid: 0,
    protocol: flow.protocol,
    sport: 0,
    dport: 0,
    packetDst: flow.dst,
  };
}

function fibType6(runtime: Runtime, key: RouteKey, device: string | null, flow: Flow): number {
  const addr = key.dst;
  if (device !== null && runtime.devices.holds(device, addr)) return RTN.local;
  const found = runtime.routing(6).routeOf(key, flow.choices);
  const { kind } = found;
  if (kind === 'blackhole' || kind === 'prohibit' || kind === 'unreachable') return RTN[kind];
  if (isSubnetRouters(found)) return RTN.anycast;
  if (kind === 'local' && device === null) return RTN.local;
  if (isMulticast(addr)) return RTN.multicast;
  return addr === 0n ? 0 : RTN.unicast;
}

function fibDevice(flow: Flow, runtime: Runtime, flags: ReadonlySet<string>, device: string | null): string | null {
  // nft_fib_can_skip, as seen on Linux 6.18 (nft_fib_ipv4.c of v6.12 asks it in PREROUTING alone)
  const early = flow.hook === 'PREROUTING' || flow.hook === 'INPUT';
  if (early && flow.iif === 'lo' && flow.tproxy === null) return 'lo';
  // who has no address yet asks all that are on the link
  if (early && flow.src === 0 && (flow.dst === 0xffffffff || isLinkGroup4(flow.dst))) return flow.iif;
  const passing = flow.hook === 'FORWARD' && flags.has('iif') && !flags.has('daddr');
  const key = fibKey(flow, flags, passing ? (flow.oif ?? 'lo') : 'lo');
  const routing = runtime.routing(flow.family);
  // nft_fib4_eval asks for the route alone, nft_fib6_eval for the way
  const back = flow.family === 4 ? routing.routeOf(key, flow.choices) : routing.lookup(key, flow.choices);
  if (!leadsOut(back, flow.family)) return null;
  if (device === null) return back.nexthop?.device ?? null;
  return usesDevice(back, device) ? device : null;
}

/** nft_fib4_eval passes over local addresses alone (and look-ups that fail), nft_fib6_eval over RTF_ANYCAST, too. */
function leadsOut(found: RouteResult, family: Family): boolean {
  if (found.kind === 'local' || isRouteError(found)) return false;
  return family === 4 || !isSubnetRouters(found);
}
