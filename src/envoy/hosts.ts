import type { Evidence } from '../formats/evidence.js';
import type { JsonObject } from '../formats/envoy-json.js';
import { balance, type Balance } from './balance.js';
import type { Balanced, ClusterModel } from './cluster.js';
import { hostText, type Host, type HostSet } from './host.js';
import { ending, type End, type Way } from './connection.js';
import type { Engine } from './engine.js';
import { toInternal } from './internal.js';
import { step, stepsKept, weigh, withCondition, withUnknown, type Path } from './path.js';
import { transport } from './transport.js';
import {
  alpnOf,
  connected,
  localStatus,
  noUpstream,
  unknownEnd,
  unknownTransport,
  type Upstream,
} from './upstream-end.js';
import { hostFields, hostSteps, waysTo } from './ways.js';

function balanced(engine: Engine, cluster: ClusterModel, set: HostSet, criteria: JsonObject | null): Balanced {
  const key = criteria === null ? '' : JSON.stringify(criteria);
  let found = cluster.balanced.get(key);
  if (found === undefined) {
    found = prepared(engine, cluster, balance(engine, cluster, set, criteria));
    // what a loop leaves unsettled inside is no result to keep
    if (!engine.underWay.has(cluster)) cluster.balanced.set(key, found);
  }
  return found;
}

export function prepared(engine: Engine, cluster: ClusterModel, choice: Balance): Balanced {
  const all = waysTo(engine, cluster, choice.hosts);
  const ways = all.filter((way) => way !== null);
  return {
    choice,
    all,
    ways: ways.length === all.length && choice.dependsOn === null ? ways : null,
    internal: choice.hosts.some(({ kind }) => kind === 'internal'),
  };
}

/** The load balancer's choice, and the way to each endpoint that it may choose. */
export function chooseHost(
  engine: Engine,
  cluster: ClusterModel,
  evidence: Evidence,
  upstream: Upstream,
  path: Path,
  end: End,
): void {
  const set = cluster.hosts();
  if (set === null) {
    const reason = engine.dump.hasEndpoints ? 'the dump does not list them' : 'the dump was taken without ?include_eds';
    unknownEnd(upstream, `endpoints of cluster ${cluster.name}`, reason, evidence, path, end);
    return;
  }
  if (set.open !== null) {
    unknownEnd(upstream, set.open.fact, set.open.reason, evidence, path, end);
    return;
  }
  if (set.dropped > 0) {
    const told = step(path, `drops ${100 * set.dropped} % of the requests (drop_overloads)`, evidence);
    const fields = {
      ...upstream.fields,
      reason: set.dropped < 1 ? 'drop_overload' : 'unconditional_drop_overload',
      status: upstream.http ? localStatus(503, upstream.grpc) : null,
    };
    if (!upstream.http) {
      unknownEnd(upstream, 'drop_overloads of a TCP connection', 'not known to this program', evidence, told, end);
      return;
    }
    end(ending(upstream.connection, 'error', evidence, fields), weigh(told, set.dropped));
    if (set.dropped >= 1) return;
    fromSet(engine, cluster, set, evidence, upstream, weigh(told, 1 - set.dropped), end);
    return;
  }
  fromSet(engine, cluster, set, evidence, upstream, path, end);
}

function fromSet(
  engine: Engine,
  cluster: ClusterModel,
  set: HostSet,
  evidence: Evidence,
  upstream: Upstream,
  path: Path,
  end: End,
): void {
  const found = balanced(engine, cluster, set, upstream.criteria);
  const { unknown } = found.choice;
  if (unknown !== null)
    return unknownEnd(upstream, `endpoint of cluster ${cluster.name}`, unknown, evidence, path, end);
  if (set.hosts.length === 0 && set.incomplete === null)
    return noUpstream(upstream, evidence, noted(found.choice, evidence, path), end);
  chooseAmong(engine, cluster, found, evidence, upstream, path, end);
}

function noted({ notes }: Balance, evidence: Evidence, path: Path): Path {
  return notes.reduce((next, note) => step(next, note, evidence), path);
}

/** A choice that is known, and the way to each endpoint of it. */
export function chooseAmong(
  engine: Engine,
  cluster: ClusterModel,
  { choice, all, ways, internal }: Balanced,
  evidence: Evidence,
  upstream: Upstream,
  path: Path,
  end: End,
): void {
  let next = noted(choice, evidence, path);
  if (choice.open !== null) next = withUnknown(next, choice.open, `endpoints of cluster ${cluster.name}`);
  if (choice.hosts.length === 0 && choice.open !== null) {
    unknownEnd(upstream, choice.open, `endpoints of cluster ${cluster.name}`, evidence, next, end);
    return;
  }
  if (choice.hosts.length === 0) {
    noUpstream(upstream, evidence, next, end);
    return;
  }
  if (ways !== null && (!internal || independent(upstream))) {
    const { connection, fields } = upstream;
    end({ connection, known: fields, ways, shares: choice.shares, alpn: alpnOf(cluster, upstream) }, next);
    return;
  }
  for (const [i, host] of choice.hosts.entries()) {
    let branch = weigh(next, choice.shares[i] ?? null);
    if (choice.dependsOn !== null) branch = withCondition(branch, `${choice.dependsOn} chooses ${hostText(host)}`);
    toHost(engine, cluster, host, all[i] ?? null, upstream, branch, end);
  }
}

/** Nothing of the connection reaches what is behind an internal listener. */
function independent(upstream: Upstream): boolean {
  return upstream.connection.shared.size === 0 && !upstream.terminates;
}

/** Goes to one host of a choice that depends on the connection. */
function toHost(
  engine: Engine,
  cluster: ClusterModel,
  host: Host,
  way: Way | null,
  upstream: Upstream,
  path: Path,
  end: End,
): void {
  if (way !== null && (host.kind !== 'internal' || independent(upstream))) {
    const { connection } = upstream;
    const alpn = alpnOf(cluster, upstream);
    end({ connection, known: upstream.fields, ways: [way], shares: [1], alpn }, path);
    return;
  }
  const socket = transport(cluster, host);
  const fields = hostFields(host, engine.dump.file);
  const next = stepsKept(path, hostSteps(host, engine.dump.file, socket));
  switch (host.kind) {
    case 'socket':
    case 'pipe':
      connected(cluster, socket, upstream, { ...fields, to: hostText(host) }, next, end);
      return;
    case 'internal': {
      const known = { ...upstream, fields: { ...upstream.fields, ...fields } };
      if (socket.unknown !== null) return unknownTransport(known, socket.unknown, fields.decidedBy, next, end);
      toInternal(engine, cluster, host, host.listener ?? '', socket, known, next, end);
      return;
    }
  }
}
