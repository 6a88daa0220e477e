/** The number of an IP protocol by its name or number; null where neither is known. */
export function protocolNumber(name: string): number | null {
  const known = PROTOCOLS.get(name.toLowerCase());
  if (known !== undefined) return known;
  return /^\d+$/.test(name) ? Number(name) : null;
}

/** /etc/protocols, as far as rules name them. */
const PROTOCOLS: ReadonlyMap<string, number> = new Map([
  ['icmp', 1],
  ['igmp', 2],
  ['ipencap', 4],
  ['tcp', 6],
  ['udp', 17],
  ['dccp', 33],
  ['ipv6', 41],
  ['gre', 47],
  ['esp', 50],
  ['ipsec-esp', 50],
  ['ah', 51],
  ['ipv6-icmp', 58],
  ['icmpv6', 58],
  ['ospf', 89],
  ['vrrp', 112],
  ['sctp', 132],
  ['udplite', 136],
  ['mh', 135],
  ['ipv6-mh', 135],
]);
