import { isLinkGroup4, isLoopback, isToMany } from './address.js';
import type { Flow } from './flow.js';
import type { Runtime } from './runtime.js';
import { leadsToMany, usesDevice, type RouteResult } from './route-result.js';

/**
 * Martians and reverse-path filtering of IPv4 input (ip_route_input_slow in linux net/ipv4/route.c, fib_validate_source in
 * fib_frontend.c, v6.12; IPv6 has none of it). Null: the source is accepted; else why it is not.
 */
export function martian(flow: Flow, runtime: Runtime): string | null {
  const { src, dst } = flow;
  if (isToMany(src)) return 'a multicast or broadcast address as source';
  if (dst === 0xffffffff || (src === 0 && dst === 0)) return null;
  // of 0.0.0.0/8 only this one address is special (ipv4_is_zeronet since v5.3); a group of the link takes it (ip_mc_validate_source)
  if (src === 0 && !isLinkGroup4(dst)) return 'the source 0.0.0.0';
  if (dst === 0) return 'the destination 0.0.0.0';
  const device = flow.iif ?? 'lo';
  if (isLoopback(dst) && !runtime.devices.ipv4(device).routeLocalnet) {
    return 'a destination in 127.0.0.0/8 from outside (route_localnet is 0)';
  }
  if (isLoopback(src)) {
    if (!isLoopback(dst) && !runtime.devices.ipv4(device).routeLocalnet) return 'a source in 127.0.0.0/8 from outside';
  }
  return null;
}

function reverse(flow: Flow, runtime: Runtime, oif: string | null, mark: number): RouteResult {
  const routing = runtime.routing(4);
  const ports = routing.dissects();
  return routing.routeOf(
    {
      dst: flow.src,
      // brd_input, ip_mc_validate_source: of a packet to many the destination is not asked with
      src: flow.route !== null && leadsToMany(flow.route.kind) ? 0 : flow.dst,
      iif: oif ?? 'lo',
      oif: null,
      mark,
      uid: 0,
      protocol: ports ? flow.protocol : 0,
      sport: ports ? flow.dport : 0,
      dport: ports ? flow.sport : 0,
    },
    flow.choices,
  );
}

/**
 * With policy rules of its own the kernel looks a source up in full, whatever rp_filter says, and still does when they are
 * gone (fib4_has_custom_rules); it matters to a source that is a broadcast address.
 */
function looksFurther({ src, choices }: Flow, runtime: Runtime): boolean {
  const routing = runtime.routing(4);
  return routing.isBroadcast(src) && !routing.neverHadRules(choices);
}

/**
 * fib_validate_source for a packet routed to `oif` (null: local delivery). Where sysctl.txt is missing, a source that even
 * the strictest setting would accept is accepted.
 */
export function rejectsSource(flow: Flow, runtime: Runtime, oif: string | null): string | null {
  const device = flow.iif ?? 'lo';
  if (runtime.facts.sysctls().kind === 'unknown') {
    const back = reverse(flow, runtime, oif, 0);
    const marked = reverse(flow, runtime, oif, flow.mark);
    const fine = [back, marked].every((result) => result.kind === 'unicast' && usesDevice(result, device));
    if (fine && !runtime.devices.isOwn(4, flow.src)) return null;
  }
  const settings = runtime.devices.ipv4(device);
  const rpf = settings.rpFilter;
  const { acceptLocal } = settings;
  if (rpf === 0 && (device !== oif || !settings.sendRedirects)) {
    if (acceptLocal) return null;
    const routing = runtime.routing(4);
    if (!routing.hasCustomLocalRoutes() && !routing.hasCustomRules() && !looksFurther(flow, runtime)) {
      return runtime.devices.isOwn(4, flow.src) ? 'a source that is an address of this machine (martian)' : null;
    }
  }
  const mark = settings.srcValidMark ? flow.mark : 0;
  const back = reverse(flow, runtime, oif, mark);
  if (back.kind === 'unreachable' || back.kind === 'prohibit' || back.kind === 'blackhole') {
    return rpf === 0 ? null : `rp_filter: no route back (${back.summary})`;
  }
  if (back.kind !== 'unicast' && !(back.kind === 'local' && acceptLocal)) {
    return `a source that is ${back.kind === 'local' ? 'an address of this machine' : back.kind} (martian)`;
  }
  if (usesDevice(back, device)) return null;
  if (rpf === 0) return null;
  const hasAddress = runtime.devices.get(device)?.addresses.some(({ ip }) => ip.family === 4) ?? false;
  if (!hasAddress) return 'rp_filter: the device has no address';
  return rpf === 1
    ? `rp_filter is strict and the way back leaves through ${back.nexthop?.device ?? 'another device'}`
    : null;
}
