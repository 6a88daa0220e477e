import { parseCidr } from '../../formats/ip.js';
import { isObject, stringOf, type JsonObject } from '../../formats/netns-json.js';
import type { Addr } from '../address.js';
import { TCP, UDP, type Flow } from '../flow.js';
import { bindNat, masquerade, portRange, redirect, setupNat, type Manip, type NatRange } from '../nat.js';
import { tproxyDeliver } from '../tproxy.js';
import type { Expression, NftContext } from './context.js';
import { compileExpression } from './expression.js';
import { literal, type Value } from './value.js';
import { BREAK, NEXT, type Statement } from './verdict.js';

/** A part of an address and port: constant, a map, or an expression of the packet. */
type Target = (flow: Flow) => Pick<NatRange, 'addresses' | 'ports'> | null;

function addressTarget(json: unknown, context: NftContext): Target | null {
  const { family } = context;
  if (isObject(json) && isObject(json['prefix'])) {
    const cidr = parseCidr(`${String(json['prefix']['addr'])}/${String(json['prefix']['len'])}`);
    if (cidr === null || cidr.ip.family !== family) return null;
    const size = (family === 4 ? 32 : 128) - cidr.prefix;
    const from: Addr = cidr.ip.value;
    const to: Addr = family === 4 ? Number(from) + 2 ** size - 1 : BigInt(from) + (1n << BigInt(size)) - 1n;
    return () => ({ addresses: { from, to }, ports: null });
  }
  if (isObject(json) && Array.isArray(json['range'])) {
    const [from, to] = json['range'].map((item) => literal(item, 'addr', family));
    if (from === null || from === undefined || to === null || to === undefined) return null;
    if (typeof from === 'string' || typeof from === 'object' || typeof to === 'string' || typeof to === 'object') {
      return null;
    }
    return () => ({ addresses: { from, to }, ports: null });
  }
  const expression = compileExpression(json, context, 'addr');
  if (expression === null || expression.owner !== undefined) return null;
  return (flow) => targetOf(expression.get(flow));
}

function targetOf(value: Value | null): Pick<NatRange, 'addresses' | 'ports'> | null {
  if (value === null || typeof value === 'string') return null;
  if (typeof value !== 'object') return { addresses: { from: value, to: value }, ports: null };
  const [addr, port] = value;
  if (typeof addr !== 'number' && typeof addr !== 'bigint') return null;
  if (typeof port !== 'number') return null;
  return { addresses: { from: addr, to: addr }, ports: { from: port, to: port } };
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
  if (hasFlag(body, 'prefix')) return prefixNat(manip, body, context);
  return (flow) => {
    if (flow.ct === null) return BREAK;
    const target = address(flow);
    const range = port(flow);
    if (target === null || range === null) return BREAK;
    const full = { ...range, addresses: target.addresses, ports: target.ports ?? range.ports };
    return bindNat(flow, manip, setupNat(flow, manip, full), context.evidence);
  };
}

function prefixNat(manip: Manip, body: JsonObject, context: NftContext): Statement | null {
  const { addr } = body as { addr?: unknown };
  if (!isObject(addr) || !isObject(addr['prefix'])) return null;
  const cidr = parseCidr(`${String(addr['prefix']['addr'])}/${String(addr['prefix']['len'])}`);
  if (cidr === null || cidr.ip.family !== context.family) return null;
  const netmap = { network: cidr.ip.value, prefix: cidr.prefix };
  const range = { addresses: null, ports: null, random: false, netmap, basePort: null };
  return (flow) => bindNat(flow, manip, setupNat(flow, manip, range), context.evidence);
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
  const any: Addr = context.family === 4 ? 0 : 0n;
  const address = body['addr'] === undefined ? null : addressTarget(body['addr'], context);
  const port = portTarget(body, context);
  if (port === null || (body['addr'] !== undefined && address === null)) return null;
  return (flow) => {
    if (flow.protocol !== TCP && flow.protocol !== UDP) return BREAK;
    const target = address === null ? null : address(flow);
    const named = port(flow);
    if (named === null || (address !== null && target === null)) return BREAK;
    const onIp = target?.addresses?.from ?? any;
    const onPort = named.ports?.from ?? 0;
    // without a socket the rule breaks off; only iptables' TPROXY drops
    return tproxyDeliver(flow, context.runtime, onIp, onPort, context.evidence) ? NEXT : BREAK;
  };
}
