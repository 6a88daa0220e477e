import type { Choices } from '../choices.js';
import { isLinkGroup4, isLinkLocal6, isToMany } from '../address.js';
import { usesDevice, type RouteResult } from '../route-result.js';
import type { RouteKey, Routing } from '../routing.js';
import type { MatchCompiler } from './compiler.js';
import { Options } from './values.js';

/** rpfilter_mt of linux net/ipv4/netfilter/ipt_rpfilter.c and ipv6/netfilter/ip6t_rpfilter.c (v6.12). */
export const rpfilter: MatchCompiler = (match, family, runtime) => {
  const options = new Options(match);
  const loose = options.flag('--loose');
  const validmark = options.flag('--validmark');
  const acceptLocal = options.flag('--accept-local');
  const invert = options.flag('--invert');
  if (!options.done) return null;
  return (flow) => {
    if (flow.iif === 'lo') return !invert;
    // who has no address; a group as a source is dropped by the routes, whatever rules say
    if (flow.src === 0 && (flow.dst === 0xffffffff || isLinkGroup4(flow.dst))) return !invert;
    if (flow.src === 0n) return !invert;
    const linkLocal = family === 6 && isLinkLocal6(flow.src);
    // rpfilter_get_saddr, rpfilter_addr_unicast: a group, and all of them, are no source; no rule is asked for them
    const key: RouteKey = {
      dst: flow.src,
      src: isToMany(flow.dst) ? (family === 4 ? 0 : 0n) : flow.dst,
      iif: 'lo',
      oif: linkLocal ? flow.iif : null,
      mark: validmark ? flow.mark : 0,
      uid: 0,
      protocol: family === 6 ? flow.protocol : 0,
      sport: 0,
      dport: 0,
      packetDst: flow.dst,
    };
    const routing = runtime.routing(family);
    const back =
      family === 6 && !loose && !linkLocal
        ? preferDevice(routing, key, flow.iif, flow.choices)
        : routing.routeOf(key, flow.choices);
    const local = back.kind === 'local';
    if (back.kind !== 'unicast' && !(local && acceptLocal)) return invert;
    const uses = usesDevice(back, flow.iif);
    return (uses || loose || (local && acceptLocal && family === 6)) !== invert;
  };
};

/**
 * A look-up with a device but without RT6_LOOKUP_F_IFACE (rt6_device_match, linux net/ipv6/route.c, v6.12): the device
 * chooses among the routes of the longest prefix, but never leads to a shorter one.
 */
function preferDevice(routing: Routing, key: RouteKey, device: string | null, choices: Choices): RouteResult {
  const free = routing.lookup({ ...key, oif: device, through: null }, choices);
  const bound = routing.lookup({ ...key, oif: device }, choices);
  const same = bound.route !== null && bound.rule === free.rule && bound.route.dst.prefix === free.route?.dst.prefix;
  return same ? bound : free;
}
