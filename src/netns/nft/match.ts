import { isObject, stringOf, type JsonObject } from '../../formats/netns-json.js';
import type { Flow, Predicate } from '../flow.js';
import { asTest, type Test } from '../head.js';
import { askOwner, ownerTest } from '../owner.js';
import { placeOf } from '../runtime.js';
import type { Expression, Getter, NftContext } from './context.js';
import { compileExpression, unsupportedExpression } from './expression.js';
import { isForFamily } from './family.js';
import { sorted } from './draw.js';
import { carries } from './payload.js';
import { compileSetMembers, type Members } from './sets.js';
import { readsUnseen } from './unseen.js';
import { literal, pattern, type Pattern, type Value, type ValueTest } from './value.js';

/** The test of a match statement; null where the statement is of another kind. */
export function matchOf(json: unknown, context: NftContext): Test | null {
  return isObject(json) && isObject(json['match']) ? compileNftMatch(json['match'], context) : null;
}

/** Never null: what is not understood forks, with the words of the rule. */
export function compileNftMatch(json: JsonObject, context: NftContext): Test {
  return understood(json, context) ?? asTest(fork(json, context));
}

function fork(json: JsonObject, context: NftContext): Predicate {
  const words = JSON.stringify({ match: json });
  const condition = `${words} at ${placeOf(context.evidence)} matches`;
  const foreign = unsupportedExpression({ match: json }, context.evidence);
  const unknown = readsUnseen(json['left']) ? { ...foreign, reason: 'neither the packet nor a file says' } : foreign;
  const possible = carries(json['left'], context.runtime);
  return (flow) =>
    possible(flow) && flow.choices.either(`nft ${placeOf(context.evidence)} ${words}`, condition, unknown);
}

function understood(json: JsonObject, context: NftContext): Test | null {
  const op = stringOf(json['op']);
  const left = compileExpression(json['left'], context);
  if (left === null || op === null) return null;
  const { right } = json as { right?: unknown };
  if (op === '<' || op === '>' || op === '<=' || op === '>=') return orNull(ordered(op, left, right, context));
  if (op === 'in' || isFlagTest(op, left, right)) return orNull(bits(left, right, false, context));
  if (op === '!') return orNull(bits(left, right, true, context));
  if (op !== '==' && op !== '!=') return null;
  const negated = op === '!=';
  const set = setOf(right);
  if (set !== null) {
    const members = compileSetMembers(set, left.kinds, context);
    return members === null ? null : asTest(membership(left, members, negated, right, context));
  }
  const test = equality(left, right, context);
  if (test === null) return null;
  if (left.owner !== undefined) {
    if (test.kind === 'exact' && typeof test.value === 'number')
      return ownerTest(left.owner, test.value, negated, false, context.evidence);
    return asTest(ownersTest(left.owner, testOf(test), negated, right, context));
  }
  if (test.kind === 'exact' && left.equals !== undefined) return left.equals(test.value, negated);
  const fits = testOf(test);
  const holds = compare(sorted(left, fits), fits, negated);
  if (negated || !context.anyFamily || !isConnectionProtocol(json['left'])) return asTest(holds);
  const meant = isForFamily(context);
  return asTest((flow) => holds(flow) && meant(flow));
}

function isConnectionProtocol(json: unknown): boolean {
  return isObject(json) && isObject(json['ct']) && json['ct']['key'] === 'protocol';
}

function orNull(test: Predicate | null): Test | null {
  return test === null ? null : asTest(test);
}

function compare(get: Getter, test: ValueTest, negated: boolean): Predicate {
  return (flow) => {
    const value = get(flow);
    return value !== null && test(value) !== negated;
  };
}

/** "ct state established,related" as a plain list: one of the bits. */
function isFlagTest(op: string, left: Expression, right: unknown): boolean {
  return op === '==' && Array.isArray(right) && left.kinds[0] !== 'tcpflags';
}

/** A set by name or written in the rule; one concatenation is a set of itself. Null: the right side is none. */
function setOf(right: unknown): unknown {
  if (typeof right === 'string') return right.startsWith('@') ? right : null;
  if (!isObject(right)) return null;
  if ('set' in right) return right;
  return Array.isArray(right['concat']) ? { set: [right] } : null;
}

function membership(
  left: Expression,
  members: Members,
  negated: boolean,
  right: unknown,
  context: NftContext,
): Predicate {
  if (left.owner !== undefined) {
    return ownersTest(left.owner, (value, flow) => members(value, flow) !== false, negated, right, context);
  }
  // of what is negated no statement of an element is asked: it is not in the set
  const holds = (value: Value, flow: Flow): boolean => {
    const held = members(value, flow);
    if (negated) return held === false;
    return typeof held === 'function' ? held(flow) : held;
  };
  const get = sorted(left, holds);
  return (flow) => {
    const value = get(flow);
    return value !== null && holds(value, flow);
  };
}

/** What the left side has to be. */
function equality(left: Expression, right: unknown, { family }: NftContext): Pattern | null {
  return left.kinds.length === 1 ? pattern(right, left.kinds[0] ?? 'int', family, false) : null;
}

function testOf(one: Pattern): ValueTest {
  switch (one.kind) {
    case 'exact': {
      const { value } = one;
      return (candidate) => candidate === value;
    }
    case 'test':
      return one.test;
    case 'any':
      return () => true;
    case 'never':
      return () => false;
  }
}

function ordered(op: '<' | '>' | '<=' | '>=', left: Expression, right: unknown, context: NftContext): Predicate | null {
  const kind = left.kinds[0] ?? 'int';
  const bound = literal(right, kind, context.family);
  if (bound === null || left.kinds.length !== 1) return null;
  // these stand there by name, and have an order by number
  if (kind === 'ifindex' || kind === 'devgroup') return null;
  const test: ValueTest =
    op === '<'
      ? (value) => value < bound
      : op === '>'
        ? (value) => value > bound
        : op === '<='
          ? (value) => value <= bound
          : (value) => value >= bound;
  if (left.owner !== undefined) return ownersTest(left.owner, test, false, { [op]: right }, context);
  const get = sorted(left, test);
  return (flow) => {
    const value = get(flow);
    if (Number.isNaN(value))
      return flow.choices.either('checksum', 'the checksum or identifier of the ICMP echo is in the range', null);
    return value !== null && test(value);
  };
}

/** `in`: any of the bits; `!`: none of them. A packet without the value fits neither. */
function bits(left: Expression, right: unknown, negated: boolean, context: NftContext): Predicate | null {
  const kind = left.kinds[0] ?? 'int';
  const mask = literal(right, kind, context.family);
  if (typeof mask !== 'number' || left.kinds.length !== 1) return null;
  // IPS_ASSURED, which the bits of a connection do not say here
  const assured = kind === 'ctstatus' && (mask & 4) !== 0;
  return (flow) => {
    const value = left.get(flow);
    if (typeof value !== 'number') return false;
    return ((value & mask) !== 0 || (assured && isAssured(flow, value))) !== negated;
  };
}

function isAssured(flow: Flow, status: number): boolean {
  if ((status & 2) === 0) return false;
  return flow.choices.either('assured', 'conntrack has seen enough to call the connection assured', null);
}

/** Several users or groups. A packet without a process has none, and the rule does not match. */
function ownersTest(
  which: 'uid' | 'gid',
  test: (value: Value, flow: Flow) => boolean,
  negated: boolean,
  right: unknown,
  { evidence }: NftContext,
): Predicate {
  const words = `${which} ${JSON.stringify(right)}`;
  return (flow) => {
    if (!flow.local) return false;
    const known = flow[which];
    return (known === null ? askOwner(flow, which, words, words, evidence) : test(known, flow)) !== negated;
  };
}
