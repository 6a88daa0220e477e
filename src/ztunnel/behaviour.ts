import type { DumpShape } from '../formats/ztunnel-types.js';

/**
 * What changed in ztunnel between releases, as data: each row one behaviour, its first release and the file where it is
 * decided. A release takes the last row that is not newer than itself.
 */
export interface Behaviour {
  /** How the local workload is found: by address, or by what the CNI said of the pod. */
  readonly source: 'ip' | 'pod';
  /** Dry-run policies are left out of enforcement. */
  readonly dryRun: boolean;
  /** Services may be marked `canonical`, which decides between several with one VIP or hostname. */
  readonly canonical: boolean;
  /** A CONNECT authority may be a hostname. */
  readonly hostnameAuthority: boolean;
  /** Another network is reached by double HBONE through its gateway. */
  readonly doubleHbone: boolean;
  /** The load-balancing rank gives a matching first scope `Network` the weight of all others (1.31). */
  readonly networkFirstRank: boolean;
  /** A Service addressed without usable endpoint is an error, not a passthrough. */
  readonly noHealthyUpstream: boolean;
  /** Matches of a clause are alternatives; in 1.18 all had to match. */
  readonly clauseJoin: 'any' | 'all';
}

interface Row {
  readonly since: string;
  readonly set: Partial<Behaviour>;
  readonly where: string;
}

const BASE: Behaviour = {
  source: 'ip',
  dryRun: false,
  canonical: false,
  hostnameAuthority: false,
  doubleHbone: false,
  networkFirstRank: false,
  noHealthyUpstream: false,
  clauseJoin: 'all',
};

/** Sorted by release. */
const ROWS: readonly Row[] = [
  { since: '1.19.0', set: { clauseJoin: 'any' }, where: 'src/rbac.rs Authorization::matches' },
  { since: '1.22.2', set: { noHealthyUpstream: true }, where: 'src/proxy/outbound.rs build_request' },
  { since: '1.24.0', set: { source: 'pod' }, where: 'src/proxy.rs LocalWorkloadInformation' },
  { since: '1.26.0', set: { hostnameAuthority: true, doubleHbone: true }, where: 'src/proxy/outbound.rs, inbound.rs' },
  { since: '1.29.0', set: { dryRun: true, canonical: true }, where: 'src/state.rs assert_rbac, src/state/service.rs' },
  { since: '1.31.0-rc.0', set: { networkFirstRank: true }, where: 'src/state.rs load_balance' },
];

/** Releases that a layout of the dump can come from: first, and first that can not. */
const SHAPES: Readonly<Record<DumpShape, readonly [string, string]>> = {
  'ip-maps': ['1.18.0', '1.19.0'],
  'flat-stores': ['1.19.0', '1.22.0'],
  maps: ['1.22.0', '1.23.0'],
  lists: ['1.23.0', '99.0.0'],
};

/** Negative, zero, positive; a pre-release is older than its release. */
export function compareVersions(a: string, b: string): number {
  const parse = (text: string): readonly number[] => {
    const match = /^(\d+)\.(\d+)\.(\d+)(?:-(alpha|beta|rc)\.(\d+))?/.exec(text);
    if (match === null) return [0, 0, 0, 0, 0];
    const stage = match[4] === undefined ? 3 : ['alpha', 'beta', 'rc'].indexOf(match[4]);
    return [Number(match[1]), Number(match[2]), Number(match[3]), stage, Number(match[5] ?? 0)];
  };
  const left = parse(a);
  const right = parse(b);
  for (const [index, value] of left.entries()) {
    const difference = value - (right[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

export function behaviourOf(version: string): Behaviour {
  return ROWS.filter((row) => compareVersions(row.since, version) <= 0).reduce(
    (behaviour, row) => ({ ...behaviour, ...row.set }),
    BASE,
  );
}

/**
 * The behaviours that a dump may stand for: one where it names its release, else all that its layout allows. The engine
 * answers with certainty only what all of them say.
 */
export function behavioursOf(
  shape: DumpShape,
  version: string | null,
): readonly { era: string; behaviour: Behaviour }[] {
  if (version !== null) return [{ era: version, behaviour: behaviourOf(version) }];
  const [first, end] = SHAPES[shape];
  const starts = ROWS.map((row) => row.since).filter((since) => compareVersions(since, first) > 0);
  return [first, ...starts.filter((since) => compareVersions(since, end) < 0)].map((since) => ({
    era: since,
    behaviour: behaviourOf(since),
  }));
}
