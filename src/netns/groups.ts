import { isMulticast, textOf } from './address.js';
import type { Flow } from './flow.js';

const ALL_HOSTS = 0xe0000001;
const ALL_NODES = (0xff02n << 112n) + 1n;

/**
 * Whether a packet to a group is for this machine (ip_check_mc_rcu in ip_route_input_rcu, linux net/ipv4/route.c;
 * ipv6_chk_mcast_addr in ip6_mc_input, net/ipv6/ip6_input.c; v6.12). Every device is in the group of all hosts; which others
 * the kernel or a socket has joined is in no file: asked.
 */
export function isForGroup({ family, dst, iif, choices }: Flow): boolean {
  if (!isMulticast(family, dst) || dst === ALL_HOSTS || dst === ALL_NODES) return true;
  const group = `${textOf(dst)} on ${iif ?? 'lo'}`;
  return choices.either('group', `the group ${group} was joined`, {
    fact: `whether the group ${group} was joined`,
    reason: 'only ip maddr shows it',
  });
}
