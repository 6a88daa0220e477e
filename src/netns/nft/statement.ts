import type { Unknown } from '../../formats/evidence.js';
import { isObject, stringOf, type JsonObject } from '../../formats/netns-json.js';
import { FactMissing } from '../choices.js';
import { REJECT } from '../flow.js';
import { predicateOf } from '../head.js';
import { placeOf, unsupported } from '../runtime.js';
import type { NftContext } from './context.js';
import { compileExpression } from './expression.js';
import { isForFamily } from './family.js';
import { sorted } from './draw.js';
import { mangle } from './mangle.js';
import { compileNftMatch } from './match.js';
import { local, nat, tproxy } from './nat-statement.js';
import { changeAsText, setChange } from './set-change.js';
import { carries } from './payload.js';
import { compileMap } from './sets.js';
import { STATEFUL, undecidable } from './undecidable.js';
import { BREAK, keyOf, NEXT, verdictStatement, type Statement } from './verdict.js';

/** Whether a statement decides no path: it counts, logs, or changes what only later packets meet. */
export function isSilent(json: unknown): boolean {
  return SILENT.has(keyOf(json));
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
  // what reads a header that the packet has not breaks off, whatever it would do
  const possible = carries(json, context.runtime);
  return (flow) => {
    if (!possible(flow)) return BREAK;
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
  'last',
  'dup',
  'secmark',
]);

function understood(key: string, body: unknown, context: NftContext): Statement | null {
  if (SILENT.has(key)) return () => NEXT;
  if (STATEFUL.has(key)) return undecidable(key, body, context);
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
        if (flow.ct !== null) return NEXT;
        flow.ctState = 'UNTRACKED';
        flow.note('netfilter', 'not tracked', context.evidence);
        return NEXT;
      };
    case 'set':
    case 'map':
      return isObject(body) ? setChange(body, context) : null;
    // nft_flow_offload_eval: only packets of connections that are there
    case 'flow':
      return (flow) => (flow.ctState === 'ESTABLISHED' ? NEXT : BREAK);
    case 'xt':
      return isObject(body) ? xt(body, context) : null;
    default:
      return asText(key, context);
  }
}

/** What nft has no JSON for it prints as it stands in a rule (`last` before 1.0.7, changes of maps before 1.1.2). */
function asText(text: string, context: NftContext): Statement | null {
  if (/^last\b/.test(text)) return () => NEXT;
  return changeAsText(text, context);
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
  const get = sorted(key, map);
  return (flow) => {
    const value = get(flow);
    if (value === null) return BREAK;
    return map(value, flow)?.(flow) ?? BREAK;
  };
}

const REJECTIONS: ReadonlySet<string> = new Set(['tcp reset', 'icmp', 'icmpv6', 'icmpx']);

function reject(body: JsonObject, context: NftContext): Statement | null {
  const type = stringOf(body['type']);
  if (body['type'] !== undefined && !REJECTIONS.has(type ?? '')) return null;
  const { family, evidence } = context;
  const meant = isForFamily(context);
  const reset = type === 'tcp reset';
  if ((type === 'icmp' && family === 6) || (type === 'icmpv6' && family === 4)) return () => BREAK;
  return (flow) => {
    if (reset && !meant(flow)) return BREAK;
    flow.rejectsByReset = reset;
    flow.note('netfilter', reset ? 'rejected with a RST' : 'rejected with an ICMP error', evidence);
    return REJECT;
  };
}
