import type { Addr } from './address.js';
import type { Flow, Predicate } from './flow.js';

/**
 * One test of a rule. Those that nearly all rules are made of are data, which is compared without a call for each; all else
 * is a function of the packet.
 */
export type Test =
  /** An IPv4 address: equal to `value` in the bits of `mask`, both numbers of 32 bits. */
  | { readonly kind: 'src' | 'dst'; readonly value: number; readonly mask: number; readonly negated: boolean }
  /** The packet's mark, likewise. */
  | { readonly kind: 'mark'; readonly value: number; readonly mask: number; readonly negated: boolean }
  | ConnmarkTest
  | { readonly kind: 'protocol'; readonly protocol: number }
  /** A packet of another protocol fails it, negated or not. */
  | { readonly kind: 'dport'; readonly protocol: number; readonly port: number; readonly negated: boolean }
  /** A device that is not there has the empty name. */
  | { readonly kind: 'iif' | 'oif'; readonly name: string; readonly negated: boolean }
  | OwnerTest
  | { readonly kind: 'function'; readonly test: Predicate };

/** The mark of the packet's connection, behind a mask; without a connection the test fails, negated or not. */
export interface ConnmarkTest {
  readonly kind: 'connmark';
  readonly value: number;
  readonly mask: number;
  readonly negated: boolean;
  /** Whether what `CT --zone` leaves for conntrack to find counts as a connection. */
  readonly templates: boolean;
}

/** One user or group of the sending process. */
export interface OwnerTest {
  readonly kind: 'owner';
  readonly which: 'uid' | 'gid';
  readonly id: number;
  readonly negated: boolean;
  /** The answer for a packet that no local process sends. */
  readonly withoutProcess: boolean;
  /** Asked where the packet does not say who sends it: whether the rule matches. */
  readonly unknown: Predicate;
}

function owns({ which, id, negated, withoutProcess, unknown }: OwnerTest, flow: Flow): boolean {
  if (!flow.local) return withoutProcess;
  const known = which === 'uid' ? flow.uid : flow.gid;
  return known === null ? unknown(flow) : (known === id) !== negated;
}

export const asTest = (test: Predicate): Test => ({ kind: 'function', test });

/** What a rule asks first: one test of each kind. A mask of 0, a protocol or port of -1, a name that is null: not asked. */
export interface Head {
  readonly protocol: number;
  readonly src: number;
  readonly srcMask: number;
  readonly srcNegated: boolean;
  readonly dst: number;
  readonly dstMask: number;
  readonly dstNegated: boolean;
  readonly mark: number;
  readonly markMask: number;
  readonly markNegated: boolean;
  readonly connmark: ConnmarkTest | null;
  readonly dport: number;
  readonly dportNegated: boolean;
  readonly iif: string | null;
  readonly iifNegated: boolean;
  readonly oif: string | null;
  readonly oifNegated: boolean;
  /** Last, for it may fork. */
  readonly owner: OwnerTest | null;
}

type Draft = { -readonly [Field in keyof Head]: Head[Field] };

/** All heads are made here and then filled in: of one shape they are read at one speed, copies of a spread are not. */
const blank = (): Draft => ({
  protocol: -1,
  src: 0,
  srcMask: 0,
  srcNegated: false,
  dst: 0,
  dstMask: 0,
  dstNegated: false,
  mark: 0,
  markMask: 0,
  markNegated: false,
  connmark: null,
  dport: -1,
  dportNegated: false,
  iif: null,
  iifNegated: false,
  oif: null,
  oifNegated: false,
  owner: null,
});

export const ANY: Head = blank();

export function admits(head: Head, flow: Flow): boolean {
  if (head.protocol !== -1 && flow.protocol !== head.protocol) return false;
  if (head.dstMask !== 0 && differs(flow.dst, head.dst, head.dstMask, head.dstNegated)) return false;
  if (head.srcMask !== 0 && differs(flow.src, head.src, head.srcMask, head.srcNegated)) return false;
  if (head.dport !== -1 && (flow.dport === head.dport) === head.dportNegated) return false;
  if (head.markMask !== 0 && ((flow.mark & head.markMask) === head.mark) === head.markNegated) return false;
  if (head.oif !== null && ((flow.oif ?? '') === head.oif) === head.oifNegated) return false;
  if (head.iif !== null && ((flow.iif ?? '') === head.iif) === head.iifNegated) return false;
  if (head.connmark !== null && !hasConnmark(head.connmark, flow)) return false;
  return head.owner === null || owns(head.owner, flow);
}

function differs(addr: Addr, value: number, mask: number, negated: boolean): boolean {
  return typeof addr !== 'number' || ((addr & mask) === value) === negated;
}

function hasConnmark({ value, mask, negated, templates }: ConnmarkTest, { ct }: Flow): boolean {
  if (ct === null || (ct.template && !templates)) return false;
  return ((ct.mark & mask) === value) !== negated;
}

/**
 * The tests of a rule, in their order: what can stand in its head, and a function for the rest; null: there is none. Nothing
 * is asked before a function that stands in front of it: that may fork, or change the packet (-m socket --restore-skmark).
 */
export function split(tests: readonly Test[]): { readonly head: Head; readonly rest: Predicate | null } {
  const head = blank();
  const rest: Predicate[] = [];
  let empty = true;
  const firstFunction = tests.findIndex(({ kind }) => kind === 'function');
  tests.forEach((test, at) => {
    const late = firstFunction >= 0 && at > firstFunction;
    if (late || !place(head, test)) rest.push(predicateOf(test));
    else empty = false;
  });
  return { head: empty ? ANY : head, rest: conjunction(rest) };
}

/**
 * Writes the test into the head; false: it has no place for it. Whoever made the test, numbers of the head are signed and of
 * 32 bits: V8 compares those at once, and unpacks others first.
 */
function place(head: Draft, test: Test): boolean {
  switch (test.kind) {
    case 'src':
      if (head.srcMask !== 0 || test.mask === 0) return false;
      head.src = test.value | 0;
      head.srcMask = test.mask | 0;
      head.srcNegated = test.negated;
      return true;
    case 'dst':
      if (head.dstMask !== 0 || test.mask === 0) return false;
      head.dst = test.value | 0;
      head.dstMask = test.mask | 0;
      head.dstNegated = test.negated;
      return true;
    case 'mark':
      if (head.markMask !== 0 || test.mask === 0) return false;
      head.mark = test.value | 0;
      head.markMask = test.mask | 0;
      head.markNegated = test.negated;
      return true;
    case 'connmark':
      if (head.connmark !== null) return false;
      head.connmark = test;
      return true;
    case 'protocol':
      if (head.protocol !== -1 && head.protocol !== test.protocol) return false;
      head.protocol = test.protocol;
      return true;
    case 'dport':
      if (head.dport !== -1 || (head.protocol !== -1 && head.protocol !== test.protocol)) return false;
      head.protocol = test.protocol;
      head.dport = test.port;
      head.dportNegated = test.negated;
      return true;
    case 'iif':
      if (head.iif !== null) return false;
      head.iif = test.name;
      head.iifNegated = test.negated;
      return true;
    case 'oif':
      if (head.oif !== null) return false;
      head.oif = test.name;
      head.oifNegated = test.negated;
      return true;
    case 'owner':
      if (head.owner !== null) return false;
      head.owner = test;
      return true;
    case 'function':
      return false;
  }
}

export function predicateOf(test: Test): Predicate {
  if (test.kind === 'function') return test.test;
  if (test.kind === 'connmark') return (flow) => hasConnmark(test, flow);
  const head = blank();
  if (place(head, test)) return (flow) => admits(head, flow);
  // a mask of 0 leaves nothing to compare
  const holds = 'mask' in test && (test.value === 0) !== test.negated;
  return () => holds;
}

/** All of them, in order, up to the first that fails. */
function conjunction(tests: readonly Predicate[]): Predicate | null {
  const [a, b, c] = tests;
  if (a === undefined) return null;
  if (b === undefined) return a;
  if (c === undefined) return (flow) => a(flow) && b(flow);
  return (flow) => {
    for (const test of tests) if (!test(flow)) return false;
    return true;
  };
}
