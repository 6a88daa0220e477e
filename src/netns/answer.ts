import { isLinkLocal6, isLoopback, isMulticast, scope6, type Addr } from './address.js';
import { FRAME, frameType } from './frame.js';
import { ICMP, ICMPV6, isIcmp, RST, TCP, type Flow } from './flow.js';
import { isRouteError, leadsToMany, type RouteResult } from './route-result.js';
import type { Runtime } from './runtime.js';
import { selectAddress6 } from './source-address.js';

/**
 * Whether the kernel can tell the sender by a RST, which has the packet's own addresses, that it was rejected (nf_send_reset,
 * nf_send_reset6; linux net/ipv4/netfilter/nf_reject_ipv4.c, v6.12). Where it cannot, the packet disappears in silence. Rules
 * that would swallow the message are not asked: the packet was rejected all the same.
 */
export function resetReaches(flow: Flow, runtime: Runtime): boolean {
  if ((flow.flags & RST) !== 0 || !isAnswerable(flow, runtime)) return false;
  const result = wayBack(flow, runtime, { src: flow.dst, protocol: TCP, sport: flow.dport, dport: flow.sport });
  return leaves(flow, runtime, result, isOwn(flow, runtime));
}

/** Likewise by an ICMP error, which needs an address of its own (__icmp_send, icmp6_send; linux net/ipv4/icmp.c, net/ipv6/icmp.c, v6.12). */
export function errorReaches(flow: Flow, runtime: Runtime): boolean {
  if (!isAnswerable(flow, runtime)) return false;
  const { family, dst } = flow;
  const own = isOwn(flow, runtime);
  // a destination that only a local route makes ours is no address to answer from (ip_route_output: __ip_dev_find)
  if (family === 4 && !own && flow.route?.kind === 'local') return false;
  const back = (src: Addr): RouteResult =>
    wayBack(flow, runtime, { src, protocol: family === 4 ? ICMP : ICMPV6, sport: 0, dport: 0 });
  const zero = family === 4 ? 0 : 0n;
  let result = back(own ? dst : zero);
  // icmp6_send: where no route names a source, the one that the incoming device would choose is asked with
  if (family === 6 && !own && (isRouteError(result) || result.route?.prefsrc == null)) {
    const incoming = flow.iif === null || flow.iif === 'lo' ? (flow.route?.nexthop?.device ?? 'lo') : flow.iif;
    result = back(selectAddress6(runtime.devices, incoming, flow.src));
  }
  return leaves(flow, runtime, result, own);
}

/**
 * Nor is an error answered by another one, nor what went to many. In PREROUTING, where the packet has no route yet, it is the
 * one to its source that says so (nf_reject_fill_skb_dst).
 */
function isAnswerable(flow: Flow, runtime: Runtime): boolean {
  const { family, src, dst, route } = flow;
  if (isIcmpError(flow)) return false;
  if (family === 6) return !isMulticast(src) && src !== 0n && !isMulticast(dst);
  if (route !== null) return !leadsToMany(route.kind);
  // 0.0.0.0 is this machine itself
  const many = src !== 0 && leadsToMany(runtime.addressType(4, src, null, flow));
  return !many && frameType(flow, runtime) === FRAME.host;
}

/** Of what ICMP has no handler for either (icmp_pointers of linux net/ipv4/icmp.c, is_ineligible of net/ipv6/icmp.c, v6.12). */
function isIcmpError(flow: Flow): boolean {
  const { family, packet } = flow;
  if (!isIcmp(flow)) return false;
  if (packet.icmp == null) return packet.assumed?.ctstate === 'RELATED';
  const { type } = packet.icmp;
  return family === 6 ? type < 128 : type > 18 || ERRORS.has(type);
}

const ERRORS: ReadonlySet<number> = new Set([1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12]);

/**
 * Whether the destination is an address to answer from. Of IPv6 a device must have it, one of the link or of the host the
 * incoming device, or it is one of a subnet's routers (ipv6_chk_addr, ipv6_chk_acast_addr_src; linux net/ipv6/addrconf.c,
 * anycast.c, v6.12).
 */
function isOwn({ family, dst, iif, choices }: Flow, { devices, routing }: Runtime): boolean {
  if (family === 4) return routing(4).addressType(dst, null, choices) === 'local';
  const scope = scope6(dst);
  const only = scope === 'loopback' || scope === 'link' ? (iif ?? 'lo') : null;
  if (routing(6).addressType(dst, only, choices) === 'anycast') return true;
  return devices
    .list()
    .some(
      ({ name, addresses }) =>
        (only === null || name === only) && addresses.some(({ ip, tentative }) => ip.value === dst && !tentative),
    );
}

interface Message {
  readonly src: Addr;
  readonly protocol: number;
  readonly sport: number;
  readonly dport: number;
}

function wayBack(flow: Flow, runtime: Runtime, message: Message): RouteResult {
  const { family, src, choices } = flow;
  const oif = family === 6 && isLinkLocal6(src) ? flow.iif : null;
  const mark = reflectedMark(flow, runtime);
  return runtime.routing(family).lookup({ ...message, dst: src, iif: 'lo', oif, mark, uid: 0 }, choices);
}

function leaves(flow: Flow, runtime: Runtime, result: RouteResult, own: boolean): boolean {
  const device = result.nexthop?.device ?? null;
  const bound = flow.family === 4 && own && isLoopback(flow.dst);
  if (bound && result.kind !== 'local' && device !== 'lo' && !routesLocalnet(runtime, device)) {
    flow.note('route', `no error can be sent from 127.0.0.0/8 through ${device ?? '?'}`, result.evidence);
    return false;
  }
  if (!isRouteError(result)) return true;
  flow.note('route', `no error can be sent back: ${result.summary}`, result.evidence);
  return false;
}

/** IP4_REPLY_MARK, IP6_REPLY_MARK: an answer takes the mark along if fwmark_reflect says so. */
export function reflectedMark({ family, mark, choices }: Flow, { facts }: Runtime): number {
  if (mark === 0) return 0;
  const sysctls = facts.sysctls();
  const key = family === 4 ? 'net.ipv4.fwmark_reflect' : 'net.ipv6.fwmark_reflect';
  const value = sysctls.kind === 'known' ? sysctls.value.values.get(key)?.value : undefined;
  if (value !== undefined) return value === '0' ? 0 : mark;
  const reason = sysctls.kind === 'known' ? 'the file does not hold it' : sysctls.unknown.reason;
  return choices.either(key, `${key} is 0`, { fact: `${key}: sysctl.txt`, reason }) ? 0 : mark;
}

/** Whether 127.0.0.0/8 may leave through the device. */
export function routesLocalnet({ devices }: Runtime, device: string | null): boolean {
  return device === null
    ? devices.sysctl('net.ipv4.conf.all.route_localnet') !== 0
    : devices.ipv4(device).routeLocalnet;
}
