import { isLinkGroup4, isMulticast, scope6, textOf } from './address.js';
import { FactMissing } from './choices.js';
import { sysctlOf, type Devices } from './facts.js';
import type { Flow } from './flow.js';

/**
 * Whether a program routes groups here (ip_mr_input is asked first, ip6_mr_input as well): mc_forwarding is set by nobody
 * else, and no group of the link itself is forwarded (ip_route_input_rcu, ip6_mc_input).
 */
function isRouted({ family, dst, iif }: Flow, devices: Devices): boolean {
  if (family === 4) {
    const keys = ['all', iif ?? 'lo'].map((name) => sysctlOf('net.ipv4.conf.*.mc_forwarding', name));
    return !isLinkGroup4(dst) && keys.every((key) => devices.isSet(key));
  }
  const scope = scope6(dst);
  return scope !== 'loopback' && scope !== 'link' && devices.isSet('net.ipv6.conf.all.mc_forwarding');
}

const ALL_HOSTS = 0xe0000001;
const ALL_NODES = (0xff02n << 112n) + 1n;

/**
 * Whether a packet to a group is for this machine (ip_check_mc_rcu in ip_route_input_rcu, linux net/ipv4/route.c;
 * ipv6_chk_mcast_addr in ip6_mc_input, net/ipv6/ip6_input.c; v6.12). Every device is in the group of all hosts; which others
 * the kernel or a socket has joined is in no file: asked.
 */
export function isForGroup(flow: Flow, devices: Devices): boolean {
  const { dst, iif, choices } = flow;
  if (!isMulticast(dst)) return true;
  if (isRouted(flow, devices)) {
    throw new FactMissing({
      fact: `multicast routes to ${textOf(dst)}`,
      reason: 'a multicast router runs here, copies may leave through other devices, and only ip mroute shows them',
    });
  }
  if (dst === ALL_HOSTS || dst === ALL_NODES) return true;
  const group = `${textOf(dst)} on ${iif ?? 'lo'}`;
  return choices.either('group', `the group ${group} was joined`, {
    fact: `whether the group ${group} was joined`,
    reason: 'only ip maddr shows it',
  });
}
