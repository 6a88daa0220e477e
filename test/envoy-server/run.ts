import { setTimeout as sleep } from 'node:timers/promises';
import type { EnvoyRequest } from '../../src/envoy/face.js';
import { loadEnvoy } from '../../src/envoy/load.js';
import { list, object, string, type JsonObject } from '../../src/formats/envoy-json.js';
import { disagreements, type Observed, type ObservedOutcome } from '../envoy/observed.js';
import type { Certificates } from './certificates.js';
import { ask, type Reply } from './client.js';
import { startEnvoy } from './envoy-process.js';
import type { Question, Scenario } from './scenario.js';

export interface Mismatch {
  readonly scenario: Scenario;
  readonly question: Question;
  readonly differences: readonly string[];
  readonly seen: Observed;
  /** Lines of the access log that tell of it. */
  readonly lines: readonly JsonObject[];
}

export interface Tally {
  pairs: number;
  /** Configurations that Envoy refused: nothing to compare. */
  refused: number;
  /** Questions that the client of the test dropped: the machine was too slow. */
  dropped: number;
  /** Answers of the engine that say that they do not know. */
  unknown: number;
  readonly families: Map<string, number>;
  readonly mismatches: Mismatch[];
}

export function newTally(): Tally {
  return { pairs: 0, refused: 0, dropped: 0, unknown: 0, families: new Map(), mismatches: [] };
}

function text(line: JsonObject, field: string): string | null {
  const value = string(line[field]);
  return value === null || value === '-' || value === '' ? null : value;
}

const RBAC = /rbac_access_denied_matched_policy\[(.*)\]/;

function policyOf(details: string): string | null {
  const found = RBAC.exec(details)?.[1] ?? null;
  return found === 'none' ? null : found;
}

/** `envoy://connect_originate/10.0.0.1:80` as the contract writes it. */
function endpointOf(line: JsonObject): string | null {
  const host = text(line, 'host');
  return host === null ? null : host.replace(/^envoy:\/\//, 'internal:').replace(/\/$/, '');
}

const BLANK = { cluster: null, endpoint: null, to: null, tls: null, hbone: null, status: null, policy: null };

/** One line of the access log, with what the client got, as an observed outcome. */
function outcome(line: JsonObject, reply: Reply | null): Omit<ObservedOutcome, 'probability'> {
  const base = {
    ...BLANK,
    listener: text(line, 'listener'),
    filterChain: text(line, 'chain'),
    route: text(line, 'route'),
  };
  const details = (text(line, 'details') ?? '').replace(/_+$/, '');
  const ended = text(line, 'ended') ?? '';
  const flags = text(line, 'flags') ?? '';
  const code = Number(line['code'] ?? 0);
  const status = code === 0 ? null : code;
  if (RBAC.test(details)) return { ...base, action: 'deny', status, policy: policyOf(details) };
  if (RBAC.test(ended)) return { ...base, action: 'deny', route: null, policy: policyOf(ended) };
  const cluster = text(line, 'cluster');
  if (details === 'route_not_found' || details === 'direct_response') {
    return { ...base, action: 'respond', status, reason: details };
  }
  if (details === 'fault_filter_abort') return { ...base, action: 'respond', status, reason: details };
  if (details === 'cluster_not_found') return { ...base, action: 'error', status, reason: details };
  if (details === 'upgrade_failed') return { ...base, action: 'error', status, reason: details };
  if (details.endsWith('drop_overload')) return { ...base, action: 'error', cluster, status, reason: details };
  if (details === 'no_healthy_upstream') return { ...base, action: 'error', cluster, status, reason: details };
  const failure = text(line, 'failure');
  // tcp_proxy connects before the handshake is over: without a certificate that counts for nothing.
  if (failure !== null && /PEER_DID_NOT_RETURN|CERTIFICATE_VERIFY/.test(failure)) {
    return { ...base, action: 'error', route: null, reason: `downstream_tls:${failure}` };
  }
  const endpoint = endpointOf(line);
  if (endpoint !== null) {
    const served = reply?.served ?? null;
    const way = { ...base, action: 'forward', cluster, endpoint };
    if (served === null) return { ...way, upstreamConnect: 'failed' };
    const { to, tls, hbone } = served;
    const upstream =
      served.path === undefined
        ? {}
        : { upstream: { path: served.path, host: served.host ?? '', made: served.made ?? {} } };
    const rewritten = line['kind'] === 'http' ? upstream : {};
    return { ...way, to, tls, hbone, ...rewritten };
  }
  const handshake = failure !== null && /CERTIFICATE|WRONG_VERSION|HTTP_REQUEST/.test(failure);
  for (const flag of ['NR', 'UH', 'NC']) {
    if (flags.split(',').includes(flag)) {
      return { ...base, action: 'error', route: null, cluster: flag === 'UH' ? cluster : null, reason: flag };
    }
  }
  if (handshake) return { ...base, action: 'error', route: null, reason: `downstream_tls:${failure}` };
  // What answers TLS bytes with 400 is no HTTP to the client.
  const answered = reply === null ? null : status;
  return { ...base, action: 'error', route: null, status: answered, reason: details === '' ? flags : details };
}

/** Lines of one connection: those of the last HTTP or TCP part where there are any, else of the connection itself. */
function linesOf(log: readonly JsonObject[], src: string, scenario: Scenario, inner: boolean): readonly JsonObject[] {
  const names = new Set(scenario.listeners.map((item) => string(item['name'])));
  const mine = log.filter(
    (line) => (line['direct'] === src || line['remote'] === src) && names.has(string(line['listener'])),
  );
  const inside = inner ? mine.filter((line) => (string(line['listener']) ?? '').startsWith('main-internal')) : [];
  // The client's own connection and internal listeners of the upstream side write lines as well.
  const candidates = (inside.length > 0 ? inside : mine).filter(
    (line) => !(string(line['listener']) ?? '').startsWith('originate-'),
  );
  const spoken = candidates.filter((line) => line['kind'] !== 'connection');
  return spoken.length > 0 ? spoken : candidates;
}

function observed(
  log: readonly JsonObject[],
  src: string,
  scenario: Scenario,
  question: Question,
  replies: readonly Reply[],
): Observed | null {
  const lines = linesOf(log, src, scenario, question.connect !== null);
  if (lines.length === 0) return null;
  const counted = new Map<string, { readonly item: Omit<ObservedOutcome, 'probability'>; count: number }>();
  const spread = lines.length === 1 && replies.length > 1 && lines[0]?.['kind'] === 'tcp' ? replies.length : 1;
  lines.forEach((line, i) => {
    const item = outcome(line, replies[i] ?? null);
    const key = JSON.stringify(item);
    const known = counted.get(key);
    if (known === undefined) counted.set(key, { item, count: spread });
    else known.count += spread;
  });
  const samples = lines.length * spread;
  return {
    samples,
    outcomes: [...counted.values()].map(({ item, count }) => ({ ...item, probability: count / samples })),
  };
}

/** The client ran out of patience in the middle of a handshake or of a tunnel. */
function gaveUp(line: JsonObject): boolean {
  const reset = (text(line, 'failure') ?? '').includes('Connection_reset_by_peer');
  return (
    reset ||
    (text(line, 'details') === 'downstream_remote_disconnect' && line['kind'] === 'http' && line['code'] === 200)
  );
}

function requestOf(question: Question, src: string): EnvoyRequest {
  const { dst, tls, http } = question;
  const connect = question.connect === null ? null : { authority: question.connect.authority, headers: {} };
  return { listener: `0.0.0.0:${dst.split(':')[1] ?? ''}`, src, dst, tls, connect, innerTls: null, http };
}

function accepted(dump: string): ReadonlySet<string> {
  const names = new Set<string>();
  for (const config of list(object(JSON.parse(dump) as JsonObject)['configs'])) {
    for (const item of list(object(config)['dynamic_listeners'])) {
      const state = object(item);
      if (state['active_state'] !== undefined && state['error_state'] === undefined)
        names.add(string(state['name']) ?? '');
    }
  }
  return names;
}

/** Loads the scenarios into one Envoy, asks all their questions, and compares. */
export async function runBatch(
  envoy: string,
  scenarios: readonly Scenario[],
  certificates: Certificates,
  samples: number,
  tally: Tally,
): Promise<void> {
  const running = await startEnvoy(
    envoy,
    scenarios.flatMap((scenario) => scenario.listeners),
    scenarios.flatMap((scenario) => scenario.clusters),
  );
  try {
    const dump = await running.dump();
    const names = accepted(dump);
    const engine = loadEnvoy('config_dump.json', dump, { file: 'clusters.json', text: await running.clusters() });
    const asked: { scenario: Scenario; question: Question; src: string; replies: readonly Reply[] }[] = [];
    for (const scenario of scenarios) {
      const [first] = scenario.listeners;
      if (first === undefined || string(first['name']) !== scenario.name) continue;
      if (!scenario.listeners.every((item) => names.has(string(item['name']) ?? ''))) {
        tally.refused++;
        continue;
      }
      for (const question of scenario.questions) {
        // Where the engine sees more than one way, shares are measured; where it sees one, two samples must agree.
        const several = engine.decide(requestOf(question, `${question.src.split(':')[0] ?? ''}:1`)).length > 1;
        const answer = await ask(question, certificates, several ? samples : 2);
        if (answer !== null) asked.push({ scenario, question, ...answer });
      }
    }
    await sleep(400);
    const log = running.log();
    const bySource = new Map<string, JsonObject[]>();
    for (const line of log) {
      for (const src of new Set([string(line['direct']) ?? '', string(line['remote']) ?? ''])) {
        const known = bySource.get(src);
        if (known === undefined) bySource.set(src, [line]);
        else known.push(line);
      }
    }
    for (const { scenario, question, src, replies } of asked) {
      const lines = bySource.get(src) ?? [];
      if (lines.some(gaveUp)) {
        tally.dropped++;
        continue;
      }
      const seen = observed(lines, src, scenario, question, replies);
      const told = engine.decide(requestOf(question, src));
      if (told.some((item) => item.action === 'unknown' || item.unknowns.length > 0)) tally.unknown++;
      tally.pairs++;
      tally.families.set(scenario.family, (tally.families.get(scenario.family) ?? 0) + 1);
      if (seen === null) {
        const differences = ['no line in the access log'];
        tally.mismatches.push({ scenario, question, differences, seen: { samples: 0, outcomes: [] }, lines: [] });
        continue;
      }
      const differences = disagreements(seen, told, question.http !== null);
      if (differences.length > 0)
        tally.mismatches.push({ scenario, question, differences, seen, lines: bySource.get(src) ?? [] });
    }
  } finally {
    await running.stop();
  }
}
