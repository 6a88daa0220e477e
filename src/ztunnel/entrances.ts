import { splitHostPort } from '../formats/ip.js';
import type { DumpCertificate, DumpWorkload } from '../formats/ztunnel-types.js';
import { canonicalAddress, parseAuthority, type Address, type Authority } from './authority.js';
import { certificateProblem } from './certificate.js';
import type { ZtunnelConnection, ZtunnelOutcome } from './face.js';
import { parseIdentity } from './identity.js';
import {
  connectDoor,
  connectSteps,
  enter,
  isPlaintextSelfCall,
  plaintextDoor,
  selfCall,
  wrongTrustDomain,
  type Door,
  type InboundRequest,
} from './inbound.js';
import { LocalPods, type Local } from './local.js';
import { decideNodeConnect, decideNodePlaintext } from './node-mode.js';
import { decideOutbound } from './outbound.js';
import { branchesOf, certain, failure, step, undecided } from './outcome.js';
import type { Decided, Outcomes } from './request.js';
import { Undecided, type State } from './state.js';
import type { World } from './world.js';

/** The three ways into a ztunnel of 1.19 and later. */
export class Entrances {
  private readonly state: State;
  private readonly certificates: ReadonlyMap<string, DumpCertificate>;
  private readonly refusals = new Map<DumpWorkload, ReturnType<typeof certificateProblem>>();
  readonly pods: LocalPods;

  constructor(state: State, certificates: ReadonlyMap<string, DumpCertificate>) {
    this.state = state;
    this.certificates = certificates;
    this.pods = new LocalPods(state);
  }

  outbound(connection: ZtunnelConnection, source: string, world: World): Decided {
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
    const known = this.refusals.get(source);
    if (known !== undefined) return known;
    const { config, workloads } = this.state.dump;
    const localNode = this.state.behaviour.waypoints === 'node' ? config.localNode : null;
    const found = certificateProblem(source, this.certificates, localNode, () => workloads);
    this.refusals.set(source, found);
    return found;
  }

  /** HBONE needs a certificate of the source: without one ztunnel gives up after its decision. */
  private withCertificate(source: DumpWorkload, outcomes: Decided): Decided {
    const refused = this.refused(source);
    const gap = this.state.dump.gaps.certificates;
    if (gap !== null) {
      return branchesOf(outcomes).map(({ share, value }) =>
        isSecured(value) ? { share, value: undecided([gap], value.steps) } : { share, value },
      );
    }
    if (refused === null) return outcomes;
    return branchesOf(outcomes).map(({ share, value }) =>
      !isSecured(value)
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

  inbound(connection: ZtunnelConnection, address: Address, world: World): Outcomes {
    const at = this.connectTarget(connection, world);
    if (connection.identity === null) throw unreadable('identity of the peer');
    if ('outcomes' in at) return at.outcomes;
    if (this.state.behaviour.waypoints === 'node') {
      return decideNodeConnect(at.request, at.authority, connection.identity, address);
    }
    const identity = parseIdentity(connection.identity);
    const stranger = wrongTrustDomain(at.request.local, connection.identity, identity);
    if (stranger !== null) return certain(failure(stranger, connectSteps(at.request.local)));
    return enter(connectDoor(at.request, at.authority), { address, identity });
  }

  /** The pod for which a CONNECT arrived, and what it asks for. */
  private connectTarget(
    connection: ZtunnelConnection,
    world: World,
  ): { readonly request: InboundRequest; readonly authority: Authority } | { readonly outcomes: Outcomes } {
    const authority = parseAuthority(connection.dst);
    if (authority === null) throw unreadable(`authority ${JSON.stringify(connection.dst)}`);
    const arrivedIp = this.arrivedIp(connection, authority.kind === 'address' ? authority.ip : null);
    const local = this.pods.find(connection, arrivedIp, world);
    if (local.kind === 'error') return { outcomes: certain(this.failedInbound(local, arrivedIp)) };
    return { request: { state: this.state, world, local: local.workload, arrivedIp }, authority };
  }

  /**
   * What awaits inbound connections to this place (1.22 on), whoever calls. `local` is the pod in whose name TLS is spoken
   * before; null where nothing is asked of the caller.
   */
  doorOf(connection: ZtunnelConnection, world: World): { readonly local: DumpWorkload | null; readonly door: Door } {
    if (connection.direction === 'inbound') {
      const at = this.connectTarget(connection, world);
      if ('outcomes' in at) return { local: null, door: { kind: 'ended', outcomes: at.outcomes } };
      return { local: at.request.local, door: connectDoor(at.request, at.authority) };
    }
    return { local: null, door: this.plaintextDoor(connection, world) };
  }

  /** Up to 1.23 TLS already needs the destination's workload, which is found by address. */
  private failedInbound(local: Extract<Local, { kind: 'error' }>, arrived: string): ZtunnelOutcome {
    if (this.state.behaviour.localWorkload === 'pod') return failedLocal(local);
    const { network } = this.state.dump.config;
    const error = `certificate lookup error: ${network}/${arrived} is not a known destination`;
    return failure(error, [step(`${arrived} is in no entry of the dump`, local.evidence)]);
  }

  plaintext(connection: ZtunnelConnection, address: Address, world: World): Decided {
    if (this.state.behaviour.waypoints !== 'node') {
      return enter(this.plaintextDoor(connection, world), { address, identity: null });
    }
    const at = this.plaintextTarget(connection, world);
    if ('outcomes' in at) return at.outcomes;
    const client = this.state.workloadByAddress(this.state.dump.config.network, address.text, world);
    const outcomes = decideNodePlaintext(at.request, at.port, client, address);
    return client === null ? outcomes : this.withCertificate(client, outcomes);
  }

  private plaintextDoor(connection: ZtunnelConnection, world: World): Door {
    const at = this.plaintextTarget(connection, world);
    return 'outcomes' in at ? { kind: 'ended', outcomes: at.outcomes } : plaintextDoor(at.request, at.port);
  }

  private plaintextTarget(
    connection: ZtunnelConnection,
    world: World,
  ): { readonly request: InboundRequest; readonly port: number } | { readonly outcomes: Outcomes } {
    const target = addressOf(connection.dst);
    if (isPlaintextSelfCall(this.state, target)) {
      return { outcomes: certain(selfCall({ state: this.state }, connection.dst, [])) };
    }
    const local = this.pods.find(connection, target.ip, world);
    if (local.kind === 'error') {
      const unknown = { ...local, error: `unknown destination: ${target.ip}` };
      const byPod = this.state.behaviour.localWorkload === 'pod';
      return { outcomes: certain(failedLocal(byPod ? local : unknown)) };
    }
    return { request: { state: this.state, world, local: local.workload, arrivedIp: target.ip }, port: target.port };
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

function addressOf(text: string): { readonly ip: string; readonly port: number } {
  const parts = splitHostPort(text);
  const ip = parts === null ? null : canonicalAddress(parts.host);
  if (parts === null || ip === null) throw unreadable(`destination ${JSON.stringify(text)}`);
  return { ip, port: parts.port };
}

/** A connection for which a certificate is needed. */
function isSecured(item: ZtunnelOutcome): boolean {
  return item.action === 'forward' && item.protocol !== 'tcp';
}

function failedLocal(local: Extract<Local, { kind: 'error' }>): ZtunnelOutcome {
  return failure(local.error, [step(local.error, local.evidence)]);
}
