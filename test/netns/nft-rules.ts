import type { NetnsOutcome } from '../../src/netns/face.js';
import type { Files } from './netns-files.js';

/** A piece of nft's list. */
export type Json = unknown;

/** What stands around the rules; left away: a table of both families, asked before routing. */
export interface Table {
  readonly family?: string;
  readonly hook?: string;
  readonly type?: 'filter' | 'nat';
  readonly flags?: readonly string[];
  /** Of the nft that prints; null: it does not say. */
  readonly version?: string | null;
  /** Sets, maps, flowtables: whatever stands before the chains. */
  readonly objects?: readonly Json[];
}

/** A list with one base chain of these rules. */
export function listed(rules: readonly (readonly Json[])[], over: Table = {}): Files {
  const { family = 'inet', hook = 'prerouting', type = 'filter', flags, version = '1.1.3', objects = [] } = over;
  const table = { family, table: 't' };
  const nftables = [
    { metainfo: { ...(version === null ? {} : { version }), json_schema_version: 1 } },
    { table: { family, name: 't', ...(flags === undefined ? {} : { flags }) } },
    ...objects,
    { chain: { ...table, name: 'c', type, hook, prio: 0, policy: 'accept' } },
    ...rules.map((expr) => ({ rule: { ...table, chain: 'c', expr } })),
  ];
  return { 'nft-ruleset.json': JSON.stringify({ nftables }) };
}

export const field = (protocol: string, name: string): Json => ({ payload: { protocol, field: name } });
export const meta = (key: string): Json => ({ meta: { key } });
export const match = (left: Json, right: Json, op = '=='): Json => ({ match: { op, left, right } });
export const vmap = (key: Json, ...elements: readonly Json[]): Json => ({ vmap: { key, data: { set: elements } } });
export const mark = (value: Json): Json => ({ mangle: { key: meta('mark'), value } });
export const DROP = { drop: null };
export const SADDR = field('ip', 'saddr');
export const set = (name: string, over: object = {}): Json => ({
  set: { family: 'inet', table: 't', name, type: 'ipv4_addr', flags: ['dynamic'], ...over },
});
export const map = (name: string, over: object = {}): Json => ({
  map: { family: 'inet', table: 't', name, type: 'ipv4_addr', map: 'mark', flags: ['dynamic'], ...over },
});
export const change = (op: string, name: string, elem: Json, over: object = {}): Json => ({
  set: { op, elem, set: `@${name}`, ...over },
});

/** Mark and share of each way. */
export const ways = (outcomes: readonly NetnsOutcome[]): readonly (readonly [number, number | null])[] =>
  outcomes.map(({ mark: of, probability }) => [of, probability] as const).sort(([one], [other]) => one - other);
