import { splitHostPort } from '../formats/ip.js';
import type { Unknown } from '../formats/evidence.js';
import type { DumpCertificate, DumpWorkload, ZtunnelDump } from '../formats/ztunnel-types.js';
import { readZtunnelDump } from '../formats/ztunnel-dump.js';
import { behavioursOf, type Behaviour } from './behaviour.js';
import { dnsAnswer, resolveName } from './dns.js';
import type { Ztunnel, ZtunnelConnection, ZtunnelDnsAnswer, ZtunnelDnsQuestion, ZtunnelOutcome } from './face.js';
import { canonicalAddress, parseAuthority } from './authority.js';
import { certificateProblem } from './certificate.js';
import { decideConnect, decidePlaintext, isPlaintextSelfCall, selfCall } from './inbound.js';
import { decideNodeConnect, decideNodePlaintext } from './node-mode.js';
import { decideLegacy } from './legacy.js';
import { LocalPods, type Local } from './local.js';
import { decideOutbound } from './outbound.js';
import { certain, failure, outcomeKey, settle, step, undecided, type Branch } from './outcome.js';
import { State, Undecided } from './state.js';
import { acrossWorlds, type World } from './world.js';

type Outcomes = readonly Branch<ZtunnelOutcome>[];

/**
 * One ztunnel from its config_dump, of any release since 1.18. Nothing is thrown: from a file that is no dump, every
 * question is answered `unknown` with the file named.
 */
export function loadZtunnel(file: string, text: string): Ztunnel {
  const read = readZtunnelDump(file, text);
  if (read.kind === 'unusable') return unusable(file, read.reason);
  const { dump } = read;
  const problems = dump.problems.map((problem) => ({
    fact: `${problem.file}${problem.pointer ?? ''}`,
    reason: problem.message,
  }));
  const engines = behavioursOf(dump.shape, dump.version).map((behaviour) => new Engine(dump, behaviour));
  return {
    file,
    version: dump.version,
    era: dump.shape,
    localNode: dump.config.localNode,
    pods: dump.pods,
    problems,
    decide: (connection) => agreed(engines, connection, dump),
    resolve: (question) => agreedAnswer(engines, question, dump),
  };
}

function unusable(file: string, reason: string): Ztunnel {
  const unknown: Unknown = { fact: `configuration of ztunnel: ${file}`, reason };
  return {
    file,
    version: null,
    era: 'unknown',
    localNode: null,
    pods: null,
    problems: [unknown],
    decide: () => [undecided([unknown], [])],
    resolve: () => dnsAnswer({ kind: 'unknown', summary: reason, unknowns: [unknown] }),
  };
}

/** Where the dump does not name its release, only what all possible releases say is certain. */
function agreed(
  engines: readonly Engine[],
  connection: ZtunnelConnection,
  dump: ZtunnelDump,
): readonly ZtunnelOutcome[] {
  const [first, ...others] = engines;
  if (first === undefined) return [];
  const answer = first.decide(connection);
  const expected = print(answer);
  if (others.every((engine) => print(engine.decide(connection)) === expected)) return answer;
  const unknown = {
    fact: `release of ztunnel: ${dump.file}/version`,
    reason: 'the dump does not name its release, and the releases with this layout decide differently',
  };
  return [undecided([unknown], [])];
}

function print(outcomes: readonly ZtunnelOutcome[]): string {
  return outcomes
    .map((item) => `${outcomeKey(item)}\t${String(item.probability)}\t${String(item.keepsSource)}`)
    .join('\n');
}

function agreedAnswer(engines: readonly Engine[], question: ZtunnelDnsQuestion, dump: ZtunnelDump): ZtunnelDnsAnswer {
  const answers = engines.map((engine) => engine.resolve(question));
  const [first] = answers;
  if (first !== undefined && answers.every((answer) => JSON.stringify(answer) === JSON.stringify(first))) return first;
  const unknown = { fact: `release of ztunnel: ${dump.file}/version`, reason: 'the dump does not name its release' };
  return dnsAnswer({ kind: 'unknown', summary: unknown.reason, unknowns: [unknown] });
}

class Engine {
  private readonly state: State;
  private readonly pods: LocalPods;
  private readonly certificates: ReadonlyMap<string, DumpCertificate>;

  constructor(dump: ZtunnelDump, behaviour: Behaviour) {
    this.state = new State(dump, behaviour);
    this.pods = new LocalPods(this.state);
    this.certificates = new Map(dump.certificates.map((certificate) => [certificate.identity, certificate]));
  }

  decide(connection: ZtunnelConnection): readonly ZtunnelOutcome[] {
    const result = acrossWorlds((world) => this.inWorld(connection, world), print);
    if (result.kind === 'same') return result.value;
    return [
      undecided(
        result.reasons.map((reason) => ({ fact: `order of insertion in ztunnel: ${this.state.dump.file}`, reason })),
        [],
      ),
    ];
  }

  resolve(question: ZtunnelDnsQuestion): ZtunnelDnsAnswer {
    const result = acrossWorlds((world) => this.answer(question, world), JSON.stringify);
    if (result.kind === 'same') return result.value;
    const unknowns = result.reasons.map((reason) => ({ fact: `state of ztunnel: ${this.state.dump.file}`, reason }));
    return dnsAnswer({ kind: 'unknown', summary: 'the dump does not decide', unknowns });
  }

  private answer(question: ZtunnelDnsQuestion, world: World): ZtunnelDnsAnswer {
    const { dump, behaviour } = this.state;
    try {
      if (dump.gaps.config !== null) throw new Undecided(dump.gaps.config);
      if (!dump.config.dnsProxy)
        return dnsAnswer({ kind: 'off', summary: 'config.dnsProxy is off: nothing listens on 15053' });
      if (behaviour.dnsShared === null) throw unreadable("ztunnel's own resolv.conf, which this release asks");
      const source = canonicalAddress(question.src);
      if (source === null) throw unreadable(`source address ${JSON.stringify(question.src)}`);
      const local = this.pods.find(question, source, world);
      if (local.kind === 'error') return dnsAnswer({ kind: 'failure', summary: local.error });
      return resolveName(this.state, local.workload, question);
    } catch (error) {
      if (error instanceof Undecided) {
        return dnsAnswer({ kind: 'unknown', summary: error.unknown.reason, unknowns: [error.unknown] });
      }
      throw error;
    }
  }

  private inWorld(connection: ZtunnelConnection, world: World): readonly ZtunnelOutcome[] {
    try {
      return settle(this.branches(connection, world));
    } catch (error) {
      if (error instanceof Undecided) return [undecided([error.unknown], [])];
      throw error;
    }
  }

  private branches(connection: ZtunnelConnection, world: World): Outcomes {
    const { config } = this.state.dump.gaps;
    if (config !== null) throw new Undecided(config);
    const source = canonicalAddress(connection.src);
    if (source === null) throw unreadable(`source address ${JSON.stringify(connection.src)}`);
    if (this.state.dump.legacy !== null) {
      return decideLegacy(this.state, this.state.dump.legacy, this.certificates, connection, source);
    }
    switch (connection.direction) {
      case 'outbound':
        return this.outbound(connection, source, world);
      case 'inbound':
        return this.inbound(connection, source, world);
      case 'inbound-plaintext':
        return this.plaintext(connection, source, world);
    }
  }

  private outbound(connection: ZtunnelConnection, source: string, world: World): Outcomes {
    const target = addressOf(connection.dst);
    if (this.isSelfCall(target)) return certain(selfCall({ state: this.state }, connection.dst, []));
    const local = this.pods.find(connection, source, world);
    if (local.kind === 'error') return certain(failedLocal(local));
    const spoofs = this.state.behaviour.outboundKeepsSource && this.state.dump.config.requireOriginalSource !== false;
    const request = {
      state: this.state,
      world,
      source: local.workload,
      downstream: source,
      target,
      spoofs,
      before: [],
    };
    return this.withCertificate(local.workload, decideOutbound(request));
  }

  /** Z:src/proxy/outbound.rs proxy_to, by release. */
  private isSelfCall(target: { readonly ip: string; readonly port: number }): boolean {
    const { config } = this.state.dump;
    const { outboundSelfCall, waypoints } = this.state.behaviour;
    switch (outboundSelfCall) {
      case 'loopback':
        return (target.ip.startsWith('127.') || target.ip === '::1') && config.illegalPorts.includes(target.port);
      case 'own-address':
        return config.proxyMode === 'Shared' && config.localIp === target.ip && (waypoints === 'node' || !config.inpod);
      case 'none':
        return false;
    }
  }

  /** HBONE needs a certificate of the source: without one ztunnel gives up after its decision. */
  private withCertificate(source: DumpWorkload, outcomes: Outcomes): Outcomes {
    const { config, workloads } = this.state.dump;
    const others = this.state.behaviour.waypoints === 'node' ? config.localNode : null;
    const refused = certificateProblem(source, this.certificates, others, () => workloads);
    if (refused === null) return outcomes;
    return outcomes.map(({ share, value }) =>
      value.action !== 'forward' || value.protocol === 'tcp'
        ? { share, value }
        : {
            share,
            value: failure(refused.error, [...value.steps, refused.step], {
              service: value.service,
              decidedBy: refused.step.evidence[0] ?? source.evidence,
            }),
          },
    );
  }

  private inbound(connection: ZtunnelConnection, source: string, world: World): Outcomes {
    const authority = parseAuthority(connection.dst);
    if (authority === null) throw unreadable(`authority ${JSON.stringify(connection.dst)}`);
    const arrived = this.arrivedIp(connection, authority.kind === 'address' ? authority.ip : null);
    if (connection.identity === null) throw unreadable('identity of the peer');
    const local = this.pods.find(connection, arrived, world);
    if (local.kind === 'error') return certain(this.failedInbound(local, arrived));
    const request = { state: this.state, world, local: local.workload, sourceIp: source, arrivedIp: arrived };
    return this.state.behaviour.waypoints === 'node'
      ? decideNodeConnect(request, authority, connection.identity)
      : decideConnect(request, authority, connection.identity);
  }

  /** Up to 1.23 TLS already needs the destination's workload, which is found by address. */
  private failedInbound(local: Extract<Local, { kind: 'error' }>, arrived: string): ZtunnelOutcome {
    if (this.state.behaviour.localWorkload === 'pod') return failedLocal(local);
    const { network } = this.state.dump.config;
    const error = `certificate lookup error: ${network}/${arrived} is not a known destination`;
    return failure(error, [step(`${arrived} is in no entry of the dump`, local.evidence)]);
  }

  private plaintext(connection: ZtunnelConnection, source: string, world: World): Outcomes {
    const target = addressOf(connection.dst);
    const { behaviour, dump } = this.state;
    if (isPlaintextSelfCall(this.state, target)) return certain(selfCall({ state: this.state }, connection.dst, []));
    const local = this.pods.find(connection, target.ip, world);
    if (local.kind === 'error') {
      const unknown = { ...local, error: `unknown destination: ${target.ip}` };
      return certain(failedLocal(behaviour.localWorkload === 'pod' ? local : unknown));
    }
    const request = { state: this.state, world, local: local.workload, sourceIp: source, arrivedIp: target.ip };
    if (behaviour.waypoints !== 'node') return decidePlaintext(request, target.port);
    const client = this.state.workloadByAddress(dump.config.network, source, world);
    const outcomes = decideNodePlaintext(request, target.port, client);
    return client === null ? outcomes : this.withCertificate(client, outcomes);
  }

  private arrivedIp(connection: ZtunnelConnection, authority: string | null): string {
    if (connection.arrivedAt !== null) {
      const host = splitHostPort(connection.arrivedAt)?.host ?? connection.arrivedAt;
      const ip = canonicalAddress(host);
      if (ip !== null) return ip;
    }
    if (authority !== null) return authority;
    throw new Undecided({
      fact: 'the address on which the connection arrived',
      reason: 'the CONNECT authority is a hostname, which any pod may be asked for',
    });
  }
}

function unreadable(what: string): Undecided {
  return new Undecided({ fact: what, reason: 'it is missing or cannot be read' });
}

function addressOf(text: string): { readonly ip: string; readonly port: number } {
  const parts = splitHostPort(text);
  const ip = parts === null ? null : canonicalAddress(parts.host);
  if (parts === null || ip === null) throw unreadable(`destination ${JSON.stringify(text)}`);
  return { ip, port: parts.port };
}

function failedLocal(local: Extract<Local, { kind: 'error' }>): ZtunnelOutcome {
  return failure(local.error, [step(local.error, local.evidence)]);
}
