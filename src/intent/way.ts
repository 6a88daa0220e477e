import type { Evidence } from '../formats/evidence.js';
import { joinHostPort } from '../formats/ip.js';
import type { Pod } from '../formats/kubernetes-types.js';
import type { HopKind, Link, Path, Stop, Verdict } from '../walk/trace.js';

/** Whose traffic it is to the next proxy: what its certificate says; null: plain text carries no identity. */
export interface Identity {
  readonly trustDomain: string | null;
  readonly namespace: string;
  readonly serviceAccount: string;
}

interface Step {
  readonly stop: number;
  readonly kind: HopKind;
  readonly summary: string;
  readonly evidence: readonly Evidence[];
}

/** A path in the making: how the traffic came so far. Values are replaced, never changed. */
export interface Way {
  readonly probability: number | null;
  readonly stops: readonly Stop[];
  readonly links: readonly Link[];
  readonly steps: readonly Step[];
}

/** A way with its end. */
export interface Ended extends Way {
  readonly verdict: Verdict;
  readonly reason: string;
}

export function stopOfPod(role: Stop['role'], pod: Pod): Stop {
  return { role, namespace: pod.namespace, name: pod.name, node: pod.node ?? '' };
}

export function startAt(stop: Stop): Way {
  return { probability: 1, stops: [stop], links: [], steps: [] };
}

export function go(way: Way, link: Link, stop: Stop): Way {
  return { ...way, links: [...way.links, link], stops: [...way.stops, stop] };
}

/** A connection that was tried and reached nobody: a link without a stop after it. */
export function attempt(way: Way, link: Link): Way {
  return { ...way, links: [...way.links, link] };
}

/** A decision of (or before) the last stop. */
export function note(way: Way, kind: HopKind, summary: string, evidence: readonly Evidence[] = []): Way {
  return { ...way, steps: [...way.steps, { stop: way.stops.length - 1, kind, summary, evidence }] };
}

/** One of several: null where the share is not known. */
export function share(way: Way, part: number | null): Way {
  return { ...way, probability: part === null || way.probability === null ? null : way.probability * part };
}

export function end(way: Way, verdict: Verdict, reason: string, evidence: readonly Evidence[] = []): Ended {
  const noted =
    evidence.length === 0 ? way : note(way, verdict === 'delivered' ? 'deliver' : 'proxy', reason, evidence);
  return { ...noted, verdict, reason };
}

export function ownLink(ip: string, port: number, via?: string): Link {
  return { protocol: 'tcp', to: joinHostPort(ip, port), own: true, ...(via === undefined ? {} : { via }) };
}

export function plainLink(ip: string, port: number, protocol: 'tcp' | 'udp' = 'tcp'): Link {
  return { protocol, to: joinHostPort(ip, port), encrypted: false };
}

export function tlsLink(ip: string, port: number): Link {
  return { protocol: 'tls', to: joinHostPort(ip, port), encrypted: true };
}

/** HBONE to `ip`:15008, with what its CONNECT names. */
export function hboneLink(ip: string, inner: string): Link {
  return { protocol: 'hbone', to: joinHostPort(ip, 15008), encrypted: true, inner };
}

/** As a path of a trace, every hop derived from API objects. */
export function toPath(way: Ended): Path {
  return {
    probability: way.probability,
    verdict: way.verdict,
    reason: way.reason,
    encryption: encryptionOf(way.links),
    stops: way.stops,
    links: way.links,
    hops: way.steps.map((step) => {
      const stop = way.stops[step.stop];
      return {
        node: stop === undefined || stop.node === '' ? null : stop.node,
        netns: netnsOf(stop),
        kind: step.kind,
        summary: step.summary,
        stop: step.stop,
        basis: 'derived',
        evidence: step.evidence,
      };
    }),
  };
}

function netnsOf(stop: Stop | undefined): string {
  if (stop === undefined || stop.role === 'external') return 'external';
  return stop.namespace === '' ? stop.name : `pod/${stop.namespace}/${stop.name}`;
}

function encryptionOf(links: readonly Link[]): Path['encryption'] {
  const open = links.filter((link) => link.own !== true);
  if (open.length === 0) return null;
  const encrypted = open.filter((link) => link.encrypted === true).length;
  return encrypted === open.length ? 'mtls' : encrypted === 0 ? 'plaintext' : 'mixed';
}
