import type { ZtunnelDump } from '../formats/ztunnel-types.js';
import { canonicalAddress, readAddress } from './authority.js';
import type { Behaviour } from './behaviour.js';
import { OutboundCache, sourceOf, type Source } from './cache.js';
import { dnsAnswer, resolveName } from './dns.js';
import { Doors } from './doors.js';
import { Entrances, unreadable } from './entrances.js';
import type { ZtunnelConnection, ZtunnelDnsAnswer, ZtunnelDnsQuestion, ZtunnelOutcome } from './face.js';
import { decideLegacy } from './legacy.js';
import { outcomeKey, settle, undecided } from './outcome.js';
import type { Decided } from './request.js';
import { State, Undecided } from './state.js';
import { acrossWorlds, untouched, World, type Touched } from './world.js';

/** Equal texts for equal decisions. */
export function printOutcomes(outcomes: readonly ZtunnelOutcome[]): string {
  return outcomes
    .map((item) => `${outcomeKey(item)}\t${String(item.probability)}\t${String(item.keepsSource)}`)
    .join('\n');
}

/** One dump read as one release. */
export class Engine {
  private readonly state: State;
  private readonly entrances: Entrances;
  private readonly certificates: ConstructorParameters<typeof Entrances>[1];
  private readonly doors: Doors;
  private readonly cache = new OutboundCache();
  private readonly sources = new Map<string, Source | null>();

  constructor(dump: ZtunnelDump, behaviour: Behaviour) {
    this.state = new State(dump, behaviour);
    this.certificates = new Map(dump.certificates.map((certificate) => [certificate.identity, certificate]));
    this.entrances = new Entrances(this.state, this.certificates);
    this.doors = new Doors(this.state, this.entrances);
  }

  decide(connection: ZtunnelConnection): readonly ZtunnelOutcome[] {
    if (connection.direction !== 'outbound') {
      return this.doors.decide(connection) ?? this.inAllWorlds(connection, untouched());
    }
    const source = this.sourceOf(connection);
    if (source === null) return this.inAllWorlds(connection, untouched());
    const known = this.cache.get(source, connection.dst);
    if (known !== null) return known;
    const touched = untouched();
    const outcomes = this.inAllWorlds(connection, touched);
    this.cache.set(source, connection.dst, touched.bits, outcomes);
    return outcomes;
  }

  /** The source where nothing about it is open and it can have a certificate: looked for once. */
  private sourceOf(connection: ZtunnelConnection): Source | null {
    const { pod, src } = connection;
    const key = pod === null ? src : `${pod.namespace}/${pod.name}/${pod.serviceAccount ?? ''} ${src}`;
    const known = this.sources.get(key);
    if (known !== undefined) return known;
    const source = this.findSource(connection);
    this.sources.set(key, source);
    return source;
  }

  private findSource(connection: ZtunnelConnection): Source | null {
    const ip = canonicalAddress(connection.src);
    if (ip === null || this.state.dump.legacy !== null || this.state.dump.gaps.config !== null) return null;
    const world = new World([], untouched());
    try {
      const local = this.entrances.pods.find(connection, ip, world);
      if (local.kind === 'error' || world.questions.length > 0) return null;
      const sure = this.state.dump.gaps.certificates === null && this.entrances.refused(local.workload) === null;
      return sure ? sourceOf(local.workload, ip) : null;
    } catch (error) {
      if (error instanceof Undecided) return null;
      throw error;
    }
  }

  private inAllWorlds(connection: ZtunnelConnection, touched: Touched): readonly ZtunnelOutcome[] {
    const result = acrossWorlds((world) => this.inWorld(connection, world), printOutcomes, touched);
    if (result.kind === 'same') return result.value;
    const fact = `order of insertion in ztunnel: ${this.state.dump.file}`;
    return [
      undecided(
        result.reasons.map((reason) => ({ fact, reason })),
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

  private branches(connection: ZtunnelConnection, world: World): Decided {
    const { config } = this.state.dump.gaps;
    if (config !== null) throw new Undecided(config);
    const address = readAddress(connection.src);
    if (address === null) throw unreadable(`source address ${JSON.stringify(connection.src)}`);
    const source = address.text;
    if (this.state.dump.legacy !== null) {
      return decideLegacy(this.state, this.state.dump.legacy, this.certificates, connection, source);
    }
    switch (connection.direction) {
      case 'outbound':
        return this.entrances.outbound(connection, source, world);
      case 'inbound':
        return this.entrances.inbound(connection, address, world);
      case 'inbound-plaintext':
        return this.entrances.plaintext(connection, address, world);
    }
  }

  resolve(question: ZtunnelDnsQuestion): ZtunnelDnsAnswer {
    const result = acrossWorlds((world) => this.answer(question, world), JSON.stringify, untouched());
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
      const local = this.entrances.pods.find(question, source, world);
      if (local.kind === 'error') return dnsAnswer({ kind: 'failure', summary: local.error });
      return resolveName(this.state, local.workload, question);
    } catch (error) {
      if (error instanceof Undecided) {
        return dnsAnswer({ kind: 'unknown', summary: error.unknown.reason, unknowns: [error.unknown] });
      }
      throw error;
    }
  }
}
