import type { Evidence } from '../formats/evidence.js';
import { joinHostPort } from '../formats/ip.js';
import { scope6, textOf, withPrefix, type Addr } from './address.js';
import { FactMissing } from './choices.js';
import type { Devices } from './facts.js';
import { portsLike } from './drawn-port.js';
import type { Connection } from './connection.js';
import { ACCEPT, DROP, isTranslatedByPort, type Flow, type Verdict, type Words } from './flow.js';
import { quotesAnother } from './icmp-error.js';
import { mappedSource } from './nat-unique.js';
import { selectAddress4, selectAddress6 } from './source-address.js';

/** What a nat target asks for (struct nf_nat_range2). */
export interface NatRange {
  readonly addresses: { readonly from: Addr; readonly to: Addr } | null;
  readonly ports: { readonly from: number; readonly to: number } | null;
  readonly random: boolean;
  /** NETMAP: only the prefix is replaced. */
  readonly netmap: { readonly network: Addr; readonly prefix: number } | null;
  /** `--to-destination ip:1-10/1`: shifted by the distance from this port. */
  readonly basePort: number | null;
}

export type Manip = 'SRC' | 'DST';

/** More ways than this are not listed one by one. */
const MAX_CHOICES = 32;

/** What REDIRECT and MASQUERADE ask for: they choose the address themselves. */
export function portRange(ports: NatRange['ports'], random: boolean): NatRange {
  return { addresses: null, ports, random, netmap: null, basePort: null };
}

/**
 * nf_nat_setup_info (linux net/netfilter/nf_nat_core.c, v6.12): binds the connection's first packet. `address`: the one that
 * the target chose; null: the range says which.
 */
export function setupNat(flow: Flow, manip: Manip, range: NatRange, address: Addr | null = null): Verdict {
  const { ct } = flow;
  if (ct === null) return ACCEPT;
  if (manip === 'SRC' ? ct.srcDone : ct.dstDone) return DROP;
  const { reply } = ct;
  const addr = manip === 'SRC' ? reply.dst : reply.src;
  const port = manip === 'SRC' ? reply.dport : reply.sport;
  const { ports } = range;
  const kept = manip === 'SRC' && flow.others !== null && ports === null ? keptSource(flow, ct, range, address) : null;
  const newAddr = kept?.addr ?? address ?? chooseAddress(flow, manip, range, addr, port);
  const hasPorts = isTranslatedByPort(flow);
  const newPort = kept?.port ?? (hasPorts ? choosePort(flow, manip, range, port) : port);
  const spread = ports !== null && ports.from !== ports.to && range.basePort === null;
  const inside = ports !== null && port >= ports.from && port <= ports.to;
  const random = hasPorts && manip === 'SRC' && (range.random || (spread && !inside)) && !(ports !== null && !spread);
  if (newAddr !== addr || newPort !== port || random) {
    if (manip === 'SRC') {
      reply.dst = newAddr;
      reply.dport = newPort;
      ct.srcNat = true;
    } else {
      reply.src = newAddr;
      reply.sport = newPort;
      ct.dstNat = true;
    }
  }
  if (random) ct.drawnPort = ports ?? portsLike(port);
  if (manip === 'SRC') ct.srcDone = true;
  else ct.dstDone = true;
  return ACCEPT;
}

function keptSource(
  flow: Flow,
  ct: Connection,
  range: NatRange,
  address: Addr | null,
): ReturnType<typeof mappedSource> {
  const addresses = address === null ? range.addresses : { from: address, to: address };
  if (flow.others === null || addresses === null || range.random || range.netmap !== null) return null;
  const { from, to } = addresses;
  const { src } = ct.original;
  return src >= from && src <= to ? null : mappedSource(flow, ct, flow.others, from, to);
}

function chooseAddress(flow: Flow, manip: Manip, range: NatRange, addr: Addr, port: number): Addr {
  if (range.netmap !== null) return withPrefix(flow.family, range.netmap.network, range.netmap.prefix, addr);
  if (range.addresses === null) return addr;
  const { from, to } = range.addresses;
  if (from === to) return from;
  // get_unique_tuple: a source that is in the range already stays as it is
  const portInRange = range.ports === null || (port >= range.ports.from && port <= range.ports.to);
  if (manip === 'SRC' && !range.random && addr >= from && addr <= to && portInRange) return addr;
  const count = Number(BigInt(to) - BigInt(from)) + 1;
  if (count > MAX_CHOICES) {
    throw new FactMissing({
      fact: `the member of ${textOf(from)}-${textOf(to)} that the kernel's hash picks`,
      reason: `${count} addresses are too many to follow`,
    });
  }
  const options = Array.from({ length: count }, () => ({ probability: 1 / count, condition: null }));
  const index = flow.choices.decide(null, options, null);
  return flow.family === 4 ? Number(from) + index : BigInt(from) + BigInt(index);
}

function choosePort(flow: Flow, manip: Manip, range: NatRange, port: number): number {
  const { ports } = range;
  if (ports === null) return port;
  const { from, to } = ports;
  const size = to - from + 1;
  // the distance is a number of 16 bits (NF_NAT_RANGE_PROTO_OFFSET)
  if (range.basePort !== null) return from + (((port - range.basePort) & 0xffff) % size);
  if (size === 1) return from;
  if (!range.random && port >= from && port <= to) return port;
  // find_free_id: a source starts anywhere in the range, a destination at its beginning
  if (manip === 'SRC') return port;
  if (!range.random) return from;
  if (size > MAX_CHOICES) {
    throw new FactMissing({
      fact: `the port of ${from}-${to} that the kernel picks by chance`,
      reason: `${size} ports are too many to follow`,
    });
  }
  const options = Array.from({ length: size }, () => ({ probability: 1 / size, condition: null }));
  return from + flow.choices.decide(null, options, null);
}

/**
 * nf_nat_packet: what an established binding does to a packet at a hook of this kind; to an ICMP error of the connection it
 * does the same, but for the ports that are in what it quotes (nf_nat_icmp_reply_translation).
 */
export function translate(flow: Flow, ct: Connection, manip: Manip): void {
  rewrite(flow, ct, manip);
  if (quotesAnother(flow)) flow.sport = flow.dport = 0;
}

function rewrite(flow: Flow, ct: Connection, manip: Manip): void {
  if (flow.ctReply) {
    if (manip === 'DST') {
      if (!ct.srcNat) return;
      flow.dst = ct.original.src;
      flow.dport = ct.original.sport;
      return;
    }
    if (!ct.dstNat) return;
    flow.src = ct.original.dst;
    flow.sport = ct.original.dport;
    return;
  }
  if (manip === 'DST') {
    if (!ct.dstNat) return;
    flow.dst = ct.reply.src;
    flow.dport = ct.reply.sport;
    return;
  }
  if (!ct.srcNat) return;
  flow.src = ct.reply.dst;
  flow.sport = ct.reply.dport;
}

/** nf_nat_redirect_ipv4, _ipv6: to this machine; the address depends on the hook. */
export function redirect(flow: Flow, devices: Devices, range: NatRange): Verdict {
  const addr = redirectAddress(flow, devices);
  return addr === null ? DROP : setupNat(flow, 'DST', range, addr);
}

function redirectAddress(flow: Flow, devices: Devices): Addr | null {
  if (flow.hook === 'OUTPUT') return flow.family === 4 ? 0x7f000001 : 1n;
  const device = flow.iif === null ? null : devices.get(flow.iif);
  if (device === null) return null;
  if (flow.family === 4) return device.addresses.find(({ ip }) => ip.family === 4)?.ip.value ?? null;
  // the scope bits of the destination pick among the device's addresses (nf_nat_redirect_ipv6_usable)
  const wanted = scope6(flow.dst);
  for (const { ip, tentative } of device.addresses) {
    if (ip.family !== 6 || tentative) continue;
    if (wanted === 'global' || scope6(ip.value) === wanted) return ip.value;
  }
  return null;
}

/** nf_nat_masquerade_ipv4, _ipv6: the outgoing device's address towards the next hop. */
export function masquerade(flow: Flow, devices: Devices, range: NatRange): Verdict {
  const { ct, oif } = flow;
  if (ct === null || oif === null) return ACCEPT;
  let addr: Addr;
  if (flow.family === 4) {
    if (ct.original.src === 0) return ACCEPT;
    const gateway = flow.route?.nexthop?.gateway ?? null;
    const nexthop = gateway === null ? flow.dst : gatewayValue(gateway, flow.dst);
    addr = selectAddress4(devices, oif, nexthop, 0);
    if (addr === 0) return DROP;
  } else {
    addr = selectAddress6(devices, oif, flow.dst);
    if (addr === 0n) return DROP;
  }
  return setupNat(flow, 'SRC', range, addr);
}

function gatewayValue(gateway: string, fallback: Addr): Addr {
  const parts = gateway.split('.');
  // a gateway of the other family (via inet6): the destination itself is asked for
  return parts.length === 4 ? parts.reduce((sum, part) => sum * 256 + Number(part), 0) : fallback;
}

/**
 * Ends a nat statement: translates the packet as the connection now demands, or drops it where `verdict`, of setupNat, says
 * that the connection cannot be translated.
 */
export function bindNat(flow: Flow, manip: Manip, verdict: Verdict, evidence: Evidence): Verdict {
  if (verdict === DROP || flow.ct === null) {
    flow.note('netfilter', 'address translation is not possible: dropped', evidence);
    return DROP;
  }
  translate(flow, flow.ct, manip);
  if (manip === 'DST') flow.directedBy = evidence;
  flow.note('netfilter', manip === 'SRC' ? sourceWords : destinationWords, evidence);
  return ACCEPT;
}

const sourceWords: Words = ({ src, sport }) => `source becomes ${endpoint(src, sport)}`;
const destinationWords: Words = ({ dst, dport }) => `destination becomes ${endpoint(dst, dport)}`;

function endpoint(addr: Addr, port: number): string {
  return joinHostPort(textOf(addr), port);
}
