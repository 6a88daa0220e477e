import { splitHostPort } from '../formats/ip.js';
import type { DumpCertificate, DumpWorkload } from '../formats/ztunnel-types.js';
import { canonicalAddress, parseAuthority } from './authority.js';
import { certificateProblem } from './certificate.js';
import type { ZtunnelConnection, ZtunnelOutcome } from './face.js';
import { decideConnect, decidePlaintext, isPlaintextSelfCall, selfCall } from './inbound.js';
import { LocalPods, type Local } from './local.js';
import { decideNodeConnect, decideNodePlaintext } from './node-mode.js';
import { decideOutbound } from './outbound.js';
import { certain, failure, step } from './outcome.js';
import { remember } from './remember.js';
import type { Outcomes } from './request.js';
import { Undecided, type State } from './state.js';
import type { World } from './world.js';

/** The three ways into a ztunnel of 1.19 and later. */
export class Entrances {
  private readonly state: State;
  private readonly certificates: ReadonlyMap<string, DumpCertificate>;
  readonly pods: LocalPods;

  constructor(state: State, certificates: ReadonlyMap<string, DumpCertificate>) {
    this.state = state;
    this.certificates = certificates;
    this.pods = new LocalPods(state);
  }

  outbound(connection: ZtunnelConnection, source: string, world: World): Outcomes {
    const target = addressOf(connection.dst);
    if (this.isSelfCall(target)) return certain(selfCall({ state: this.state }, connection.dst, []));
    const local = this.pods.find(connection, source, world);
    if (local.kind === 'error') return certain(failedLocal(local));
    const spoofs = this.state.behaviour.outboundKeepsSource && this.state.dump.config.requireOriginalSource !== false;
    const { state } = this;
    const request = { state, world, source: local.workload, downstream: source, target, spoofs, before: [] };
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

  /** Why the source cannot have a certificate, or null. */
  refused(source: DumpWorkload): ReturnType<typeof certificateProblem> {
    const { config, workloads } = this.state.dump;
    const localNode = this.state.behaviour.waypoints === 'node' ? config.localNode : null;
    return certificateProblem(source, this.certificates, localNode, () => workloads);
  }

  /** HBONE needs a certificate of the source: without one ztunnel gives up after its decision. */
  private withCertificate(source: DumpWorkload, outcomes: Outcomes): Outcomes {
    const refused = this.refused(source);
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

  inbound(connection: ZtunnelConnection, source: string, world: World): Outcomes {
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

  plaintext(connection: ZtunnelConnection, source: string, world: World): Outcomes {
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

export function unreadable(what: string): Undecided {
  return new Undecided({ fact: what, reason: 'it is missing or cannot be read' });
}

const addressOf = remember((text: string): { readonly ip: string; readonly port: number } => {
  const parts = splitHostPort(text);
  const ip = parts === null ? null : canonicalAddress(parts.host);
  if (parts === null || ip === null) throw unreadable(`destination ${JSON.stringify(text)}`);
  return { ip, port: parts.port };
});

function failedLocal(local: Extract<Local, { kind: 'error' }>): ZtunnelOutcome {
  return failure(local.error, [step(local.error, local.evidence)]);
}
