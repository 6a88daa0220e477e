import type { Flow, Predicate } from './flow.js';

/**
 * One test of a rule. Those that nearly all rules are made of are data, which is compared without a call for each; all else
 * is a function of the packet.
 */
export type Test =
  /** An IPv4 address: equal to `value` in the bits of `mask`, both as signed 32-bit numbers. */
  | { readonly kind: 'src' | 'dst'; readonly value: number; readonly mask: number; readonly negated: boolean }
  /** The packet's mark, likewise. */
  | { readonly kind: 'mark'; readonly value: number; readonly mask: number; readonly negated: boolean }
  | { readonly kind: 'protocol'; readonly protocol: number }
  /** A packet of another protocol fails it, negated or not. */
  | { readonly kind: 'dport'; readonly protocol: number; readonly port: number; readonly negated: boolean }
  /** A device that is not there has the empty name. */
  | { readonly kind: 'iif' | 'oif'; readonly name: string; readonly negated: boolean }
  | { readonly kind: 'function'; readonly test: Predicate };

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
  readonly dport: number;
  readonly dportNegated: boolean;
  readonly iif: string | null;
  readonly iifNegated: boolean;
  readonly oif: string | null;
  readonly oifNegated: boolean;
}

export const ANY: Head = {
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
  dport: -1,
  dportNegated: false,
  iif: null,
  iifNegated: false,
  oif: null,
  oifNegated: false,
};

export function admits(head: Head, flow: Flow): boolean {
  if (head.protocol !== -1 && flow.protocol !== head.protocol) return false;
  if (head.dstMask !== 0 && ((Number(flow.dst) & head.dstMask) === head.dst) === head.dstNegated) return false;
  if (head.srcMask !== 0 && ((Number(flow.src) & head.srcMask) === head.src) === head.srcNegated) return false;
  if (head.dport !== -1 && (flow.dport === head.dport) === head.dportNegated) return false;
  if (head.markMask !== 0 && ((flow.mark & head.markMask) === head.mark) === head.markNegated) return false;
  if (head.oif !== null && ((flow.oif ?? '') === head.oif) === head.oifNegated) return false;
  return head.iif === null || ((flow.iif ?? '') === head.iif) !== head.iifNegated;
}

/**
 * The tests of a rule, in their order: what can stand in its head, and a function for the rest; null: there is none. Nothing
 * is asked before a function that stands in front of it: that may fork, or change the packet (-m socket --restore-skmark).
 */
export function split(tests: readonly Test[]): { readonly head: Head; readonly rest: Predicate | null } {
  let head = ANY;
  const rest: Predicate[] = [];
  const firstFunction = tests.findIndex(({ kind }) => kind === 'function');
  tests.forEach((test, at) => {
    const early = firstFunction >= 0 && at > firstFunction ? null : added(head, test);
    if (early === null) rest.push(predicateOf(test));
    else head = early;
  });
  return { head, rest: conjunction(rest) };
}

/** Null where the head has no place for it. */
function added(head: Head, test: Test): Head | null {
  switch (test.kind) {
    case 'src':
      if (head.srcMask !== 0 || test.mask === 0) return null;
      return { ...head, src: test.value, srcMask: test.mask, srcNegated: test.negated };
    case 'dst':
      if (head.dstMask !== 0 || test.mask === 0) return null;
      return { ...head, dst: test.value, dstMask: test.mask, dstNegated: test.negated };
    case 'mark':
      if (head.markMask !== 0 || test.mask === 0) return null;
      return { ...head, mark: test.value, markMask: test.mask, markNegated: test.negated };
    case 'protocol':
      return head.protocol === -1 || head.protocol === test.protocol ? { ...head, protocol: test.protocol } : null;
    case 'dport':
      if (head.dport !== -1 || (head.protocol !== -1 && head.protocol !== test.protocol)) return null;
      return { ...head, protocol: test.protocol, dport: test.port, dportNegated: test.negated };
    case 'iif':
      return head.iif === null ? { ...head, iif: test.name, iifNegated: test.negated } : null;
    case 'oif':
      return head.oif === null ? { ...head, oif: test.name, oifNegated: test.negated } : null;
    case 'function':
      return null;
  }
}

export function predicateOf(test: Test): Predicate {
  if (test.kind === 'function') return test.test;
  const head = added(ANY, test);
  if (head !== null) return (flow) => admits(head, flow);
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
