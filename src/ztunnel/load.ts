import { splitHostPort } from '../formats/ip.js';
import type { Evidence, Unknown } from '../formats/evidence.js';
import type { DumpCertificate, DumpWorkload, ZtunnelDump } from '../formats/ztunnel-types.js';
import { readZtunnelDump } from '../formats/ztunnel-dump.js';
import { behavioursOf, type Behaviour } from './behaviour.js';
import type { Ztunnel, ZtunnelConnection, ZtunnelOutcome } from './face.js';
import { canonicalSource, decideConnect, decidePlaintext, parseAuthority, selfCall } from './inbound.js';
import { decideLegacy } from './legacy.js';
import { LocalPods, type Local } from './local.js';
import { decideOutbound } from './outbound.js';
import { certain, failure, outcomeKey, settle, step, undecided, workloadIdentity, type Branch } from './outcome.js';
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
  const engines = behavioursOf(dump.shape, dump.version).map(({ behaviour }) => new Engine(dump, behaviour));
  return {
    file,
    version: dump.version,
    era: dump.shape,
    localNode: dump.config.localNode,
    pods: dump.pods,
    problems,
    decide: (connection) => agreed(engines, connection, dump),
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

  private inWorld(connection: ZtunnelConnection, world: World): readonly ZtunnelOutcome[] {
    try {
      return settle(this.branches(connection, world));
    } catch (error) {
      if (error instanceof Undecided) return [undecided([error.unknown], [])];
      throw error;
    }
  }

  private branches(connection: ZtunnelConnection, world: World): Outcomes {
    const source = canonicalSource(connection.src);
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
    const { config } = this.state.dump;
    const loopback = target.ip.startsWith('127.') || target.ip === '::1';
    if (loopback && config.illegalPorts.includes(target.port)) {
      return certain(selfCall([step(`${connection.dst} is a port of ztunnel itself`)], this.configEvidence()));
    }
    const local = this.pods.find(connection, source, world);
    if (local.kind === 'error') return certain(failedLocal(local));
    const outcomes = decideOutbound({ state: this.state, world, source: local.workload, downstream: source, target });
    return this.withCertificate(local.workload, outcomes);
  }

  /** HBONE needs a certificate of the source: without one ztunnel gives up after its decision. */
  private withCertificate(source: DumpWorkload, outcomes: Outcomes): Outcomes {
    const certificate = this.certificates.get(workloadIdentity(source));
    const words = certificate === undefined ? null : /^Unavailable: (.*)$/s.exec(certificate.state);
    if (certificate === undefined || words === null) return outcomes;
    return outcomes.map(({ share, value }) =>
      value.action !== 'forward' || value.protocol === 'tcp'
        ? { share, value }
        : {
            share,
            value: failure(
              `identity error: ${words[1] ?? ''}`,
              [...value.steps, step(`no certificate for ${certificate.identity}`, certificate.evidence)],
              { workload: value.workload, service: value.service, decidedBy: certificate.evidence },
            ),
          },
    );
  }

  private inbound(connection: ZtunnelConnection, source: string, world: World): Outcomes {
    const authority = parseAuthority(connection.dst);
    if (authority === null) throw unreadable(`authority ${JSON.stringify(connection.dst)}`);
    const arrived = this.arrivedIp(connection, authority.kind === 'address' ? authority.ip : null);
    if (connection.identity === null) throw unreadable('identity of the peer');
    const local = this.pods.find(connection, arrived, world);
    if (local.kind === 'error') return certain(failedLocal(local));
    const request = { state: this.state, world, local: local.workload, sourceIp: source, arrivedIp: arrived };
    return decideConnect(request, authority, connection.identity);
  }

  private plaintext(connection: ZtunnelConnection, source: string, world: World): Outcomes {
    const target = addressOf(connection.dst);
    if (this.state.dump.config.illegalPorts.includes(target.port)) {
      return certain(selfCall([step(`${connection.dst} is a port of ztunnel itself`)], this.configEvidence()));
    }
    const local = this.pods.find(connection, target.ip, world);
    if (local.kind === 'error') return certain(failedLocal(local));
    const request = { state: this.state, world, local: local.workload, sourceIp: source, arrivedIp: target.ip };
    return decidePlaintext(request, target.port);
  }

  private arrivedIp(connection: ZtunnelConnection, authority: string | null): string {
    if (connection.arrivedAt !== null) {
      const host = splitHostPort(connection.arrivedAt)?.host ?? connection.arrivedAt;
      const ip = canonicalSource(host);
      if (ip !== null) return ip;
    }
    if (authority !== null) return authority;
    throw new Undecided({
      fact: 'the address on which the connection arrived',
      reason: 'the CONNECT authority is a hostname, which any pod may be asked for',
    });
  }

  private configEvidence(): Evidence {
    return { file: this.state.dump.file, pointer: '/config/illegalPorts', text: 'ports of ztunnel itself' };
  }
}

function unreadable(what: string): Undecided {
  return new Undecided({ fact: what, reason: 'it is missing or cannot be read' });
}

function addressOf(text: string): { readonly ip: string; readonly port: number } {
  const parts = splitHostPort(text);
  const ip = parts === null ? null : canonicalSource(parts.host);
  if (parts === null || ip === null) throw unreadable(`destination ${JSON.stringify(text)}`);
  return { ip, port: parts.port };
}

function failedLocal(local: Extract<Local, { kind: 'error' }>): ZtunnelOutcome {
  return failure(local.error, [step(local.error, local.evidence)]);
}
