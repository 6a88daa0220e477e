import type { DumpWorkload } from '../formats/ztunnel-types.js';
import type { ZtunnelOutcome } from './face.js';

/** What of the source a decision looked at, besides its namespace and network. */
export interface Touched {
  /** Node, cluster, locality: routing preferences. */
  place: boolean;
  /** Identity or address: whether it is the waypoint itself, policies of the fast path, kept addresses. */
  person: boolean;
}

type Entry = readonly ZtunnelOutcome[] | 'place' | 'person';

/** More decisions than this are not kept. */
const MOST = 200_000;

/**
 * Outbound decisions of sources that ztunnel cannot tell apart: most depend on the source's namespace and network only.
 * An entry says what more the decision looked at, so that a source is never given another one's answer.
 */
export class OutboundCache {
  private readonly entries = new Map<string, Entry>();
  private readonly groups = new Map<DumpWorkload, { readonly common: string; readonly place: string }>();

  private groupOf(source: DumpWorkload): { readonly common: string; readonly place: string } {
    const known = this.groups.get(source);
    if (known !== undefined) return known;
    const common = `${source.namespace} ${source.network} `;
    const { region, zone, subzone } = source.locality;
    const place = `${common}${[source.node, source.clusterId, region, zone, subzone].join('\t')} `;
    const group = { common, place };
    this.groups.set(source, group);
    return group;
  }

  get(source: DumpWorkload, downstream: string, destination: string): readonly ZtunnelOutcome[] | null {
    const group = this.groupOf(source);
    let entry = this.entries.get(group.common + destination);
    if (entry === 'place') entry = this.entries.get(group.place + destination);
    if (entry === 'person') entry = this.entries.get(`${source.uid} ${downstream} ${destination}`);
    return entry === undefined || typeof entry === 'string' ? null : entry;
  }

  set(
    source: DumpWorkload,
    downstream: string,
    destination: string,
    touched: Touched,
    outcomes: readonly ZtunnelOutcome[],
  ): void {
    if (this.entries.size > MOST) this.entries.clear();
    const group = this.groupOf(source);
    if (touched.person) {
      this.entries.set(group.common + destination, 'person');
      this.entries.set(`${source.uid} ${downstream} ${destination}`, outcomes);
    } else if (touched.place) {
      this.entries.set(group.common + destination, 'place');
      this.entries.set(group.place + destination, outcomes);
    } else this.entries.set(group.common + destination, outcomes);
  }
}
