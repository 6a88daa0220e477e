import { parseCidr } from '../../formats/ip.js';
import { isObject, stringOf, type JsonObject } from '../../formats/netns-json.js';
import { commonPrefix, networkOf, type Addr, type Family } from '../address.js';
import type { Flow } from '../flow.js';
import { bindNat, masquerade, portRange, redirect, setupNat, type Manip, type NatRange } from '../nat.js';
import { tproxyDeliver } from '../tproxy.js';
import type { Expression, NftContext } from './context.js';
import { sorted } from './draw.js';
import { compileExpression } from './expression.js';
import { compileMap } from './sets.js';
import { literal, type Value } from './value.js';
import { BREAK, NEXT, type Statement } from './verdict.js';

/** A part of an address and port: constant, a map, or an expression of the packet. */
type Target = (flow: Flow) => Pick<NatRange, 'addresses' | 'ports'> | null;

function addressTarget(json: unknown, context: NftContext): Target | null {
  const { family } = context;
  const fixed = isObject(json) ? interval(json, family) : null;
  if (fixed !== null) return () => ({ addresses: fixed, ports: null });
  if (isObject(json) && isObject(json['map'])) return mapTarget(json['map'], context);
  const expression = compileExpression(json, context, 'addr');
  if (expression === null || expression.owner !== undefined) return null;
  return (flow) => targetOf(expression.get(flow));
}

/** A map to addresses or intervals: `ip daddr map { 10.0.0.1 : 10.1.0.1-10.1.0.4 }`, `10.0.0.0/24 : 10.1.0.0/24`, with ports or not. */
function mapTarget(json: JsonObject, context: NftContext): Target | null {
  const key = compileExpression(json['key'], context);
  if (key === null || key.owner !== undefined) return null;
  const map = compileMap(json['data'], key.kinds, context, readTarget);
  if (map === null) return null;
  const get = sorted(key, map);
  return (flow) => {
    const value = get(flow);
    return value === null ? null : map(value, flow);
  };
}

function readTarget(json: unknown, { family }: NftContext): ReturnType<Target> {
  const [address, port] = isObject(json) && Array.isArray(json['concat']) ? json['concat'] : [json];
  const addresses = interval(address, family);
  if (addresses === null) return null;
  if (port === undefined) return { addresses, ports: null };
  const [from, to] = isObject(port) && Array.isArray(port['range']) ? port['range'] : [port, port];
  const ports = { from: literal(from, 'port', family), to: literal(to, 'port', family) };
  if (typeof ports.from !== 'number' || typeof ports.to !== 'number') return null;
  return { addresses, ports: { from: ports.from, to: ports.to } };
}

/** One address, a range of them or a prefix; null where it is neither, or of the other family. */
function interval(json: unknown, family: Family): NatRange['addresses'] {
  if (isObject(json) && isObject(json['prefix'])) {
    const cidr = parseCidr(`${String(json['prefix']['addr'])}/${String(json['prefix']['len'])}`);
    if (cidr === null || cidr.ip.family !== family) return null;
    const size = (family === 4 ? 32 : 128) - cidr.prefix;
    const from: Addr = cidr.ip.value;
    // nft 0.9.8 prints 10.244.2.1-10.244.2.2 as 10.244.2.1/30
    if (from !== networkOf(from, cidr.prefix)) return null;
    const to: Addr = family === 4 ? Number(from) + 2 ** size - 1 : BigInt(from) + (1n << BigInt(size)) - 1n;
    return { from, to };
  }
  const [from, to] = isObject(json) && Array.isArray(json['range']) ? json['range'] : [json, json];
  const ends = [literal(from, 'addr', family), literal(to, 'addr', family)];
  const [low, high] = ends.filter((end) => typeof end === 'number' || typeof end === 'bigint');
  return low === undefined || high === undefined ? null : { from: low, to: high };
}

function targetOf(value: Value | null): ReturnType<Target> {
  if (typeof value !== 'number' && typeof value !== 'bigint') return null;
  return { addresses: { from: value, to: value }, ports: null };
}

/** Null: the expression (a map without this key) has no value, and the rule breaks off. */
type PortTarget = (flow: Flow) => NatRange | null;

/** The ports that `port` of a statement says, and whether they are chosen by chance (`flags`): a range without an address. */
function portTarget(body: JsonObject, context: NftContext): PortTarget | null {
  const { port: json } = body as { port?: unknown };
  const random = isRandom(body);
  const always = (ports: NatRange['ports']): PortTarget => {
    const range = portRange(ports, random);
    return () => range;
  };
  if (json === undefined || json === null) return always(null);
  if (isObject(json) && Array.isArray(json['range'])) {
    const [from, to] = json['range'].map((item) => literal(item, 'port', context.family));
    if (typeof from !== 'number' || typeof to !== 'number') return null;
    return always({ from, to });
  }
  const expression: Expression | null = compileExpression(json, context, 'port');
  if (expression === null || expression.owner !== undefined) return null;
  const { constant } = expression;
  if (constant !== undefined) return always({ from: constant, to: constant });
  return (flow) => {
    const port = expression.get(flow);
    return typeof port === 'number' ? portRange({ from: port, to: port }, random) : null;
  };
}

function isRandom(body: JsonObject): boolean {
  const { flags } = body as { flags?: unknown };
  const list = typeof flags === 'string' ? [flags] : Array.isArray(flags) ? flags : [];
  return list.includes('random') || list.includes('fully-random');
}

function hasFlag(body: JsonObject, name: string): boolean {
  const value = body['type_flags'] ?? body['flags'];
  return value === name || (Array.isArray(value) && value.includes(name));
}

/** The family that the statement names (`dnat ip to` in an inet table) is a condition of its own. */
function otherFamily(body: JsonObject, { family }: NftContext): boolean {
  const named = stringOf(body['family']);
  return named !== null && (named === 'ip') !== (family === 4);
}

export function nat(manip: Manip, body: JsonObject, context: NftContext): Statement | null {
  if (otherFamily(body, context)) return () => BREAK;
  const address =
    body['addr'] === undefined ? () => ({ addresses: null, ports: null }) : addressTarget(body['addr'], context);
  const port = portTarget(body, context);
  if (address === null || port === null) return null;
  const prefix = hasFlag(body, 'prefix');
  return (flow) => {
    if (flow.ct === null) return BREAK;
    const target = address(flow);
    const range = port(flow);
    if (target === null || range === null) return BREAK;
    const ports = target.ports ?? range.ports;
    const full = prefix
      ? { ...range, ports, netmap: netmapOf(target.addresses, context.family) }
      : { ...range, ports, addresses: target.addresses };
    return bindNat(flow, manip, setupNat(flow, manip, full), context.evidence);
  };
}

/** nft_nat_setup_netmap (linux net/netfilter/nft_nat.c, v6.12): what both ends share is the network. */
function netmapOf(addresses: NatRange['addresses'], family: Family): NatRange['netmap'] {
  if (addresses === null) return null;
  const { from, to } = addresses;
  return { network: from, prefix: commonPrefix(family, from, to) };
}

export function local(key: 'masquerade' | 'redirect', body: JsonObject, context: NftContext): Statement | null {
  const port = portTarget(body, context);
  if (port === null) return null;
  const manip: Manip = key === 'masquerade' ? 'SRC' : 'DST';
  const apply = key === 'masquerade' ? masquerade : redirect;
  return (flow) => {
    if (flow.ct === null) return BREAK;
    const range = port(flow);
    if (range === null) return BREAK;
    return bindNat(flow, manip, apply(flow, context.runtime.devices, range), context.evidence);
  };
}

export function tproxy(body: JsonObject, context: NftContext): Statement | null {
  if (otherFamily(body, context)) return () => BREAK;
  const address = body['addr'] === undefined ? null : addressTarget(body['addr'], context);
  const port = portTarget(body, context);
  if (port === null || (body['addr'] !== undefined && address === null)) return null;
  return (flow) => {
    const target = address === null ? null : address(flow);
    const named = port(flow);
    if (named === null || (address !== null && target === null)) return BREAK;
    const onIp = target?.addresses?.from ?? 0;
    const onPort = named.ports?.from ?? 0;
    // without a socket the rule breaks off; only iptables' TPROXY drops
    return tproxyDeliver(flow, context.runtime, onIp, onPort, context.evidence) ? NEXT : BREAK;
  };
}
