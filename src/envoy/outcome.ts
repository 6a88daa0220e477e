import {
  beforeHost,
  isSpread,
  placeOf,
  transitOf,
  type End,
  type Ending,
  type Place,
  type Spread,
  type Transit,
  type Via,
  type Way,
} from './connection.js';
import type { EnvoyOutcome } from './face.js';
import { linked, stepsOf, type Path, type Step } from './path.js';

/** What outcomes that part at the load balancer share. Steps are put in order when somebody reads them. */
class Branch {
  readonly path: Path;
  /** The proxy's own, null where the dump does not tell it. */
  readonly identity: string | null;
  readonly conditions: EnvoyOutcome['conditions'];
  readonly unknowns: EnvoyOutcome['unknowns'];
  #steps: readonly Step[] | null = null;

  constructor(path: Path, identity: string | null) {
    this.path = path;
    this.identity = identity;
    this.conditions = linked(path.conditions);
    this.unknowns = linked(path.unknowns);
  }

  steps(): readonly Step[] {
    return (this.#steps ??= stepsOf(this.path));
  }
}

/**
 * An outcome as plain data, but for `steps`: an own, enumerable property like the others (spreads, JSON and comparisons
 * see an array), whose value is made when it is first read. A request to a large cluster has many outcomes, and most
 * readers look at the steps of few of them.
 */
class Outcome implements EnvoyOutcome {
  declare readonly probability: EnvoyOutcome['probability'];
  declare readonly action: EnvoyOutcome['action'];
  declare readonly listener: EnvoyOutcome['listener'];
  declare readonly filterChain: EnvoyOutcome['filterChain'];
  declare readonly route: EnvoyOutcome['route'];
  declare readonly cluster: EnvoyOutcome['cluster'];
  declare readonly endpoint: EnvoyOutcome['endpoint'];
  declare readonly endpointAddressType: EnvoyOutcome['endpointAddressType'];
  declare readonly to: EnvoyOutcome['to'];
  declare readonly tls: EnvoyOutcome['tls'];
  declare readonly upstreamTls: EnvoyOutcome['upstreamTls'];
  declare readonly hbone: EnvoyOutcome['hbone'];
  declare readonly hboneTls: EnvoyOutcome['hboneTls'];
  declare readonly innerAuthority: EnvoyOutcome['innerAuthority'];
  declare readonly certificate: EnvoyOutcome['certificate'];
  declare readonly identity: EnvoyOutcome['identity'];
  declare readonly upstreamHttp: EnvoyOutcome['upstreamHttp'];
  declare readonly sourceBind: EnvoyOutcome['sourceBind'];
  declare readonly keepsSource: EnvoyOutcome['keepsSource'];
  declare readonly policy: EnvoyOutcome['policy'];
  declare readonly status: EnvoyOutcome['status'];
  declare readonly reason: EnvoyOutcome['reason'];
  declare readonly decidedBy: EnvoyOutcome['decidedBy'];
  declare readonly steps: EnvoyOutcome['steps'];
  declare readonly conditions: EnvoyOutcome['conditions'];
  declare readonly unknowns: EnvoyOutcome['unknowns'];
  readonly #branch: Branch;
  readonly #way: Way | null;
  #steps: readonly Step[] | null = null;

  /**
   * `place` and `transit` are what the hosts of one choice differ in; of an ending without a choice they are the ending
   * itself. `way`: null without a choice.
   */
  constructor(branch: Branch, ending: Ending, place: Place, transit: Transit, p: number | null, way: Way | null) {
    this.#branch = branch;
    this.#way = way;
    this.probability = p;
    this.action = ending.action;
    this.listener = ending.listener;
    this.filterChain = ending.filterChain;
    this.route = ending.route;
    this.cluster = ending.cluster;
    this.endpoint = place.endpoint;
    this.endpointAddressType = transit.endpointAddressType;
    this.to = place.to;
    this.tls = transit.tls;
    this.upstreamTls = transit.upstreamTls;
    this.hbone = place.hbone;
    this.hboneTls = transit.hboneTls;
    this.innerAuthority = transit.innerAuthority;
    this.certificate = transit.certificate;
    this.identity = transit.certificate === 'default' && branch.identity !== null ? branch.identity : undefined;
    this.upstreamHttp = ending.upstreamHttp;
    this.sourceBind = transit.sourceBind;
    this.keepsSource = ending.keepsSource;
    this.policy = ending.policy;
    this.status = ending.status;
    this.reason = ending.reason;
    this.decidedBy = place.decidedBy;
    Object.defineProperty(this, 'steps', STEPS);
    this.conditions = branch.conditions;
    this.unknowns = branch.unknowns;
  }

  static stepsOf(outcome: Outcome): readonly Step[] {
    const way = outcome.#way;
    const before = outcome.#branch.steps();
    return (outcome.#steps ??= way === null ? before : [...before, ...way.via.steps(way.host)]);
  }
}

/** One descriptor for all of them: outcomes keep one shape. */
const STEPS: PropertyDescriptor & ThisType<Outcome> = {
  enumerable: true,
  configurable: true,
  get() {
    return Outcome.stepsOf(this);
  },
};

/** One outcome for each host of a choice. */
function spread(choice: Spread, branch: Branch, into: Outcome[]): void {
  const { ways, shares } = choice;
  const { p } = branch.path;
  const before = beforeHost(choice);
  let via: Via | null = null;
  let transit: Transit = before;
  for (const [i, way] of ways.entries()) {
    // hosts of one kind stand together, or there is one kind only
    if (way.via !== via) transit = transitOf(choice, (via = way.via));
    const share = shares[i] ?? null;
    into.push(new Outcome(branch, before, placeOf(way), transit, share === null || p === null ? null : p * share, way));
  }
}

interface Gathered {
  readonly end: End;
  outcomes(): readonly EnvoyOutcome[];
}

/** Takes the endings of one request. `identity`: the proxy's own, null where the dump does not tell it. */
export function gather(identity: string | null): Gathered {
  const found: Outcome[] = [];
  let results = 0;
  const end: End = (result, path) => {
    results++;
    const branch = new Branch(path, identity);
    if (isSpread(result)) spread(result, branch, found);
    else found.push(new Outcome(branch, result, result, result, path.p, null));
  };
  // The hosts of one choice differ in what decided: only several results can be alike.
  return { end, outcomes: () => (results > 1 ? merged(found) : found) };
}

/** What tells outcomes apart, but for the share and the history. */
function likeness(outcome: EnvoyOutcome): string {
  const { action, listener, filterChain, route, cluster, endpoint, to, tls, policy, status, reason, hbone } = outcome;
  const { conditions, unknowns, upstreamHttp } = outcome;
  const way = `${action}|${listener}|${filterChain}|${route}|${cluster}|${endpoint}|${to}|${tls}|${policy}|${status}|${reason}`;
  const request =
    upstreamHttp === null
      ? ''
      : `${upstreamHttp.authority}|${upstreamHttp.path}|${JSON.stringify([upstreamHttp.headers, upstreamHttp.open])}`;
  const { innerAuthority, certificate, sourceBind, keepsSource, hboneTls, upstreamTls } = outcome;
  const socket = JSON.stringify([innerAuthority, certificate, sourceBind, keepsSource, hboneTls, upstreamTls]);
  const open = conditions.length + unknowns.length === 0 ? '' : JSON.stringify([conditions, unknowns]);
  return `${way}|${hbone?.to ?? ''}|${hbone?.authority ?? ''}|${request}|${socket}|${outcome.decidedBy?.pointer ?? ''}|${open}`;
}

/** Branches that end in the same way are one outcome. */
function merged(outcomes: readonly EnvoyOutcome[]): readonly EnvoyOutcome[] {
  const endpoints = new Set(outcomes.map((outcome) => outcome.endpoint));
  if (endpoints.size === outcomes.length) return outcomes;
  const found = new Map<string, EnvoyOutcome>();
  for (const outcome of outcomes) {
    const key = likeness(outcome);
    const known = found.get(key);
    if (known === undefined) found.set(key, outcome);
    else {
      const { probability } = outcome;
      const sum = known.probability === null || probability === null ? null : known.probability + probability;
      found.set(key, { ...known, probability: sum });
    }
  }
  return found.size === outcomes.length ? outcomes : [...found.values()];
}
