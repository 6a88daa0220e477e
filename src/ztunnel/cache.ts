import type { DumpWorkload } from '../formats/ztunnel-types.js';
import type { ZtunnelOutcome } from './face.js';
import type { Touched } from './world.js';

type Grain = 'namespace' | 'place' | 'person';

/** More outcomes than this are not kept. */
const MOST = 1_000_000;

/**
 * Outbound decisions of sources that ztunnel cannot tell apart: most depend on the source's network only. An entry says
 * what more the decision looked at, so that a source is never given another one's answer.
 */
export class OutboundCache {
  private readonly entries = new Map<string, readonly ZtunnelOutcome[] | Grain>();
  private readonly groups = new Map<DumpWorkload, Readonly<Record<'network' | 'namespace' | 'place', string>>>();
  private size = 0;

  /** Sources with the same prefix are the same as far as that grain goes. */
  private groupOf(source: DumpWorkload): Readonly<Record<'network' | 'namespace' | 'place', string>> {
    const known = this.groups.get(source);
    if (known !== undefined) return known;
    const network = `${source.network}\n`;
    const namespace = `${source.network}\t${source.namespace}\n`;
    const { region, zone, subzone } = source.locality;
    const place = `${[source.network, source.namespace, source.node, source.clusterId, region, zone, subzone].join('\t')}\n`;
    const group = { network, namespace, place };
    this.groups.set(source, group);
    return group;
  }

  get(source: DumpWorkload, downstream: string, destination: string): readonly ZtunnelOutcome[] | null {
    const group = this.groupOf(source);
    let entry = this.entries.get(group.network + destination);
    if (entry === 'namespace') entry = this.entries.get(group.namespace + destination);
    if (entry === 'place') entry = this.entries.get(group.place + destination);
    if (entry === 'person') entry = this.entries.get(`${source.uid}\t${downstream}\n${destination}`);
    return entry === undefined || typeof entry === 'string' ? null : entry;
  }

  set(
    source: DumpWorkload,
    downstream: string,
    destination: string,
    touched: Touched,
    outcomes: readonly ZtunnelOutcome[],
  ): void {
    this.size += outcomes.length;
    if (this.size > MOST) {
      this.entries.clear();
      this.size = outcomes.length;
    }
    const group = this.groupOf(source);
    const grain = touched.person ? 'person' : touched.place ? 'place' : touched.namespace ? 'namespace' : null;
    if (grain === null) {
      this.entries.set(group.network + destination, outcomes);
      return;
    }
    this.entries.set(group.network + destination, grain);
    const own = grain === 'person' ? `${source.uid}\t${downstream}\n` : group[grain];
    this.entries.set(own + destination, outcomes);
  }
}
