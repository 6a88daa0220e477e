import { goneWay, isSpread, type End, type Ending, type Way } from './connection.js';
import type { EnvoyOutcome } from './face.js';
import { linked, stepsOf, type Path, type Step } from './path.js';

/** Steps of a branch, put in order when somebody reads them; outcomes that part at the load balancer share them. */
class History {
  readonly #path: Path;
  #steps: readonly Step[] | null = null;

  constructor(path: Path) {
    this.#path = path;
  }

  steps(): readonly Step[] {
    return (this.#steps ??= stepsOf(this.#path));
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
  readonly #history: History;
  readonly #way: Way | null;
  #steps: readonly Step[] | null = null;

  constructor(
    result: Ending,
    p: number | null,
    identity: string | null,
    history: History,
    way: Way | null,
    open: Pick<EnvoyOutcome, 'conditions' | 'unknowns'>,
  ) {
    this.#history = history;
    this.#way = way;
    this.probability = p;
    this.action = result.action;
    this.listener = result.listener;
    this.filterChain = result.filterChain;
    this.route = result.route;
    this.cluster = result.cluster;
    this.endpoint = result.endpoint;
    this.endpointAddressType = result.endpointAddressType;
    this.to = result.to;
    this.tls = result.tls;
    this.upstreamTls = result.upstreamTls;
    this.hbone = result.hbone;
    this.hboneTls = result.hboneTls;
    this.innerAuthority = result.innerAuthority;
    this.certificate = result.certificate;
    this.identity = result.certificate === 'default' && identity !== null ? identity : undefined;
    this.upstreamHttp = result.upstreamHttp;
    this.sourceBind = result.sourceBind;
    this.keepsSource = result.keepsSource;
    this.policy = result.policy;
    this.status = result.status;
    this.reason = result.reason;
    this.decidedBy = result.decidedBy;
    Object.defineProperty(this, 'steps', STEPS);
    this.conditions = open.conditions;
    this.unknowns = open.unknowns;
  }

  static stepsOf(outcome: Outcome): readonly Step[] {
    const way = outcome.#way;
    const before = outcome.#history.steps();
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
    const history = new History(path);
    const open = { conditions: linked(path.conditions), unknowns: linked(path.unknowns) };
    if (!isSpread(result)) {
      found.push(new Outcome(result, path.p, identity, history, null, open));
      return;
    }
    const { ways, shares } = result;
    for (let i = 0; i < ways.length; i++) {
      const way = ways[i];
      if (way === undefined) break;
      const share = shares[i] ?? null;
      const p = share === null || path.p === null ? null : path.p * share;
      found.push(new Outcome(goneWay(result, way), p, identity, history, way, open));
    }
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
