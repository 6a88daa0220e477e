import type { Unknown } from '../../formats/evidence.js';
import { isObject, stringOf, type JsonObject } from '../../formats/netns-json.js';
import { parseCidr } from '../../formats/ip.js';
import type { Addr } from '../address.js';
import { FactMissing } from '../choices.js';
import { ACCEPT, CONTINUE, DROP, REJECT, RETURN, TCP, UDP, type Flow, type Verdict } from '../flow.js';
import { predicateOf } from '../head.js';
import { setTemplate } from '../track.js';
import { setConnmark, setMark } from '../marks.js';
import { bindNat, masquerade, portRange, redirect, setupNat, type Manip, type NatRange } from '../nat.js';
import { placeOf, unsupported } from '../runtime.js';
import { tproxyDeliver } from '../tproxy.js';
import { compileExpression, type Expression, type NftContext } from './expression.js';
import { compileNftMatch } from './match.js';
import { compileMap } from './sets.js';
import { literal, type Value } from './value.js';

/** The next statement. */
export const NEXT = CONTINUE;
/** The rule ends without a verdict. */
export const BREAK = 5;

/** What one statement does: go on, leave the rule, or a verdict (RETURN: leave the chain). */
export type Statement = (flow: Flow) => Verdict | typeof BREAK;

/** Whether a statement decides no path: it counts, logs, limits nothing by itself, or changes sets for later packets. */
export function isSilent(json: unknown): boolean {
  return SILENT.has(keyOf(json));
}

function keyOf(json: unknown): string {
  return isObject(json) ? (Object.keys(json)[0] ?? '') : typeof json === 'string' ? json : '';
}

/** Never null: what is not understood ends the flow as unknown when a packet reaches it. */
export function compileStatement(json: unknown, context: NftContext): Statement {
  const key = keyOf(json);
  const body = isObject(json) ? json[key] : null;
  return understood(key, body, context) ?? unknownStatement(json, context);
}

function unknownStatement(json: unknown, context: NftContext): Statement {
  const unknown =
    keyOf(json) === 'xt'
      ? opaque(isObject(json) && isObject(json['xt']) ? json['xt'] : {}, context)
      : unsupported(`nft statement ${JSON.stringify(json)}`, context.evidence);
  return () => {
    throw new FactMissing(unknown);
  };
}

const SILENT: ReadonlySet<string> = new Set([
  'counter',
  'log',
  'comment',
  'ct helper',
  'ct timeout',
  'ct expectation',
  'flow',
  'set',
  'map',
  'add',
  'update',
  'delete',
  'last',
  'dup',
  'secmark',
]);

function understood(key: string, body: unknown, context: NftContext): Statement | null {
  if (SILENT.has(key)) return () => NEXT;
  switch (key) {
    case 'match': {
      if (!isObject(body)) return null;
      const test = predicateOf(compileNftMatch(body, context));
      return (flow) => (test(flow) ? NEXT : BREAK);
    }
    case 'accept':
    case 'drop':
    case 'return':
    case 'continue':
    case 'jump':
    case 'goto':
      return verdictStatement({ [key]: body }, context);
    case 'vmap':
      return isObject(body) ? vmap(body, context) : null;
    case 'mangle':
      return isObject(body) ? mangle(body, context) : null;
    case 'snat':
    case 'dnat':
      return nat(key === 'snat' ? 'SRC' : 'DST', isObject(body) ? body : {}, context);
    case 'masquerade':
    case 'redirect':
      return local(key, isObject(body) ? body : {}, context);
    case 'tproxy':
      return isObject(body) ? tproxy(body, context) : null;
    case 'reject':
      return reject(isObject(body) ? body : {}, context);
    case 'notrack':
      return (flow) => {
        if (flow.ct !== null || flow.templated) return NEXT;
        flow.templated = true;
        flow.notrack = true;
        flow.ctState = 'UNTRACKED';
        flow.note('netfilter', 'not tracked', context.evidence);
        return NEXT;
      };
    case 'limit':
    case 'quota':
    case 'ct count':
    case 'meter':
    case 'connlimit':
      return undecidable(key, body, context);
    case 'xt':
      return isObject(body) ? xt(body, context) : null;
    default:
      return null;
  }
}

/** A verdict, as a statement of its own or as the right side of a verdict map. */
function verdictStatement(json: unknown, context: NftContext): Statement | null {
  const key = keyOf(json);
  const { evidence } = context;
  switch (key) {
    case 'accept':
      return (flow) => {
        flow.decidedBy = evidence;
        return ACCEPT;
      };
    case 'drop':
      return (flow) => {
        flow.note('netfilter', 'drop', evidence);
        return DROP;
      };
    case 'return':
      return () => RETURN;
    case 'continue':
      return () => BREAK;
    case 'jump':
    case 'goto': {
      const target = targetChain(json);
      if (target === null) return null;
      if (key === 'goto') return context.goTo(target);
      const run = context.jump(target);
      return (flow) => {
        const result = run(flow);
        return result === CONTINUE ? BREAK : result;
      };
    }
    default:
      return null;
  }
}

/** The chain that a `jump` or `goto` names. */
export function targetChain(json: unknown): string | null {
  const body = isObject(json) ? json[keyOf(json)] : null;
  return isObject(body) ? stringOf(body['target']) : stringOf(body);
}

function undecidable(key: string, body: unknown, { evidence }: NftContext): Statement {
  const words = JSON.stringify({ [key]: body });
  const condition = `${words} at ${placeOf(evidence)} lets the packet pass`;
  const unknown = { fact: `state of ${key} at ${placeOf(evidence)}`, reason: 'the packet does not decide it' };
  return (flow) => (flow.choices.either(`nft ${placeOf(evidence)} ${words}`, condition, unknown) ? NEXT : BREAK);
}

/** nft names an extension of iptables but not what it does: iptables-save of the same rules would tell. */
function opaque(body: JsonObject, { evidence, family }: NftContext): Unknown {
  const file = evidence.file.replace(/[^/]*$/, family === 4 ? 'iptables-save.txt' : 'ip6tables-save.txt');
  const what = `${stringOf(body['type']) ?? 'extension'} ${stringOf(body['name']) ?? ''}`.trim();
  return {
    fact: `rules: ${file}`,
    reason: `nft does not print what the iptables ${what} at ${evidence.pointer ?? placeOf(evidence)} does`,
  };
}

/** An opaque iptables extension: only what changes nothing is known without iptables-save. */
function xt(body: JsonObject, context: NftContext): Statement | null {
  const name = stringOf(body['name']) ?? '';
  const type = stringOf(body['type']);
  if (type === 'match' && name === 'comment') return () => NEXT;
  if (type === 'target') return ['LOG', 'NFLOG', 'TRACE', 'TCPMSS', 'CHECKSUM'].includes(name) ? () => NEXT : null;
  const condition = `xt match ${name} at ${placeOf(context.evidence)} matches`;
  const unknown = opaque(body, context);
  const words = JSON.stringify(body);
  return (flow) =>
    flow.choices.either(`nft ${placeOf(context.evidence)} ${words}`, condition, unknown) ? NEXT : BREAK;
}

function vmap(body: JsonObject, context: NftContext): Statement | null {
  const key = compileExpression(body['key'], context);
  if (key === null || key.owner !== undefined) return null;
  const map = compileMap(body['data'], key.kinds, context, verdictStatement);
  if (map === null) return null;
  return (flow) => {
    const value = key.get(flow);
    if (value === null) return BREAK;
    return map(value)?.(flow) ?? BREAK;
  };
}

function mangle(body: JsonObject, context: NftContext): Statement | null {
  const { evidence } = context;
  const key = isObject(body['key']) ? body['key'] : {};
  const metaKey = isObject(key['meta']) ? stringOf(key['meta']['key']) : null;
  const ctKey = isObject(key['ct']) ? stringOf(key['ct']['key']) : null;
  if (metaKey !== null && metaKey !== 'mark') return () => NEXT;
  if (isObject(key['payload'])) {
    const field = stringOf(key['payload']['field']);
    return field === null || ['saddr', 'daddr', 'sport', 'dport'].includes(field) ? null : () => NEXT;
  }
  if ('tcp option' in key || 'exthdr' in key) return () => NEXT;
  if (ctKey === 'event' || ctKey === 'label' || ctKey === 'secmark') return () => NEXT;
  const value = compileExpression(body['value'], context, 'mark');
  if (value === null || value.owner !== undefined) return null;
  if (metaKey === 'mark') {
    return (flow) => {
      const mark = value.get(flow);
      if (typeof mark !== 'number') return BREAK;
      setMark(flow, mark, evidence);
      return NEXT;
    };
  }
  if (ctKey === 'mark') {
    return (flow) => {
      const mark = value.get(flow);
      if (typeof mark !== 'number') return BREAK;
      if (flow.ct?.template === false) setConnmark(flow, mark, evidence);
      return NEXT;
    };
  }
  if (ctKey !== 'zone') return null;
  const direction = isObject(key['ct']) ? stringOf(key['ct']['dir']) : null;
  return (flow) => {
    const zone = value.get(flow);
    if (typeof zone !== 'number') return BREAK;
    // nft_ct_set_zone_eval: what is tracked, or has a zone, keeps it; what was not to be tracked is tracked again
    if (flow.ct !== null || (flow.templated && !flow.notrack)) return NEXT;
    flow.templated = true;
    flow.notrack = false;
    if (direction !== 'reply') flow.zone = zone;
    if (direction !== 'original') flow.zoneReply = zone;
    setTemplate(flow);
    flow.note('netfilter', `conntrack zone ${zone}`, evidence);
    return NEXT;
  };
}

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

function nat(manip: Manip, body: JsonObject, context: NftContext): Statement | null {
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

function local(key: 'masquerade' | 'redirect', body: JsonObject, context: NftContext): Statement | null {
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

function tproxy(body: JsonObject, context: NftContext): Statement | null {
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

function reject(body: JsonObject, context: NftContext): Statement {
  const type = stringOf(body['type']);
  const { family, evidence } = context;
  const reset = type === 'tcp reset';
  if ((type === 'icmp' && family === 6) || (type === 'icmpv6' && family === 4)) return () => BREAK;
  return (flow) => {
    if (reset && flow.protocol !== TCP) return BREAK;
    flow.rejectsByReset = reset;
    flow.note('netfilter', reset ? 'rejected with a RST' : 'rejected with an ICMP error', evidence);
    return REJECT;
  };
}
