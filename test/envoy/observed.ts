import type { EnvoyOutcome } from '../../src/envoy/face.js';

/**
 * What was seen of a real Envoy, in the shape of the contract of `eval` and with the extra fields of the recorded
 * vectors. `samples`: how often the question was asked.
 */
export interface ObservedOutcome {
  readonly probability: number | null;
  readonly action: string;
  readonly listener: string | null;
  readonly filterChain: string | null;
  /** The route's name alone, as %ROUTE_NAME% gives it. */
  readonly route: string | null;
  readonly cluster: string | null;
  readonly endpoint: string | null;
  readonly to: string | null;
  readonly tls: string | null;
  readonly hbone: { readonly to: string; readonly authority: string } | null;
  readonly status: number | null;
  readonly policy: string | null;
  readonly reason?: string;
  readonly upstream?: {
    readonly path: string;
    readonly host: string;
    /** Headers that routes add or remove. */
    readonly made?: Readonly<Record<string, string>>;
  };
  /** `failed`: the endpoint was chosen, and nobody listens there. */
  readonly upstreamConnect?: string;
  readonly clientSaw?: string;
}

export interface Observed {
  readonly samples: number;
  readonly outcomes: readonly ObservedOutcome[];
}

const FIELDS = ['action', 'listener', 'filterChain', 'cluster', 'endpoint', 'policy'] as const;

function lastPart(route: string | null): string | null {
  return route === null ? null : route.slice(route.lastIndexOf('/') + 1);
}

/** Reasons that are the same event, told by different log fields. */
function sameReason(seen: string, told: string | null): boolean {
  if (seen.startsWith('downstream_tls:')) return told?.startsWith('downstream_tls:') === true;
  // DPE is the response flag of a codec error
  return seen === told || (seen === 'DPE' && told === 'http1.codec_error');
}

/**
 * tcp_proxy takes its upstream before the handshake is over, and may fail first; an endpoint whose internal listener
 * does not exist is chosen, and then not reached.
 */
function refusedEarly(seen: ObservedOutcome, told: EnvoyOutcome): boolean {
  if (told.action !== 'error' || told.listener !== seen.listener) return false;
  if (told.reason?.startsWith('downstream_tls:') === true) return seen.action === 'error' && seen.status === null;
  return seen.upstreamConnect === 'failed' && told.endpoint === seen.endpoint && told.cluster === seen.cluster;
}

/** The differences between one observed outcome and one that was derived; empty where they agree. */
function differences(seen: ObservedOutcome, told: EnvoyOutcome): readonly string[] {
  const found: string[] = [];
  if (refusedEarly(seen, told)) return found;
  const compare = (field: string, want: unknown, got: unknown): void => {
    const [a, b] = [JSON.stringify(want ?? null), JSON.stringify(got ?? null)];
    if (a !== b) found.push(`${field}: seen ${a}, derived ${b}`);
  };
  for (const field of FIELDS) compare(field, seen[field], told[field]);
  compare('route', seen.route, lastPart(told.route));
  const served = seen.upstreamConnect === undefined && seen.clientSaw === undefined;
  if (served) {
    compare('to', seen.to, told.to);
    compare('tls', seen.tls, told.tls);
    compare('hbone', seen.hbone, told.hbone === null ? null : { to: told.hbone.to, authority: told.hbone.authority });
  }
  if (seen.upstreamConnect === undefined) compare('status', seen.status, told.status);
  if (seen.reason !== undefined && !sameReason(seen.reason, told.reason)) compare('reason', seen.reason, told.reason);
  if (seen.upstream !== undefined && told.upstreamHttp !== null) {
    compare('path', seen.upstream.path, told.upstreamHttp.path);
    compare('host', seen.upstream.host, told.upstreamHttp.authority);
    for (const name of seen.upstream.made === undefined ? [] : ['x-made-a', 'x-made-b', 'x-forwarded-host']) {
      if (told.upstreamHttp.open?.some((part) => part.name === name) === true) continue;
      compare(name, seen.upstream.made?.[name], told.upstreamHttp.headers[name]);
    }
  }
  return found;
}

/** Five standard errors, and a little for the rounding of shares. */
function tolerance(share: number, samples: number): number {
  return 5 * Math.sqrt((share * (1 - share)) / samples) + 0.012;
}

/** Outcomes that differ only in a request that goes nowhere are one to whoever looks on. */
function alike(told: readonly EnvoyOutcome[]): readonly EnvoyOutcome[] {
  const found = new Map<string, EnvoyOutcome>();
  for (const one of told) {
    const p = one.probability;
    const upstreamHttp = one.action === 'forward' ? one.upstreamHttp : null;
    const key = JSON.stringify({ ...one, probability: 0, steps: [], decidedBy: null, upstreamHttp });
    const before = found.get(key);
    if (before === undefined) found.set(key, one);
    else
      found.set(key, {
        ...before,
        probability: before.probability === null || p === null ? null : before.probability + p,
      });
  }
  return [...found.values()];
}

/**
 * Disagreements between what Envoy did and what the engine says: every outcome seen must be derived, every derived one
 * likely enough must have been seen, and the shares must agree.
 */
export function disagreements(seen: Observed, derived: readonly EnvoyOutcome[], http: boolean): readonly string[] {
  const told = alike(derived);
  const found: string[] = [];
  const share = new Map<EnvoyOutcome, number>();
  for (const outcome of seen.outcomes) {
    let best: { readonly told: EnvoyOutcome; readonly differences: readonly string[] } | null = null;
    for (const candidate of told) {
      const list = differences(outcome, candidate);
      if (best === null || list.length < best.differences.length) best = { told: candidate, differences: list };
    }
    if (best === null || best.differences.length > 0) {
      found.push(`seen ${outcome.action}, not derived: ${best?.differences.join('; ') ?? 'nothing'}`);
    } else {
      share.set(best.told, (share.get(best.told) ?? 0) + (outcome.probability ?? 0));
    }
  }
  // The samples of a request share one connection: behind tcp_proxy that is one choice only.
  if (http && seen.outcomes.every((item) => item.route === null && (item.status === null || item.upstreamConnect))) {
    return found;
  }
  for (const outcome of told) {
    const observed = share.get(outcome);
    const p = outcome.probability;
    if (observed === undefined) {
      if (p === null || (1 - p) ** seen.samples < 1e-5) {
        found.push(`derived ${outcome.action} ${outcome.cluster ?? ''} ${outcome.endpoint ?? ''} (${p}), not seen`);
      }
    } else if (p !== null && seen.samples >= 20 && Math.abs(observed - p) > tolerance(p, seen.samples)) {
      found.push(`share of ${outcome.endpoint ?? outcome.action}: seen ${observed}, derived ${p}`);
    }
  }
  return found;
}
