import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import { extract } from 'tar';
import { afterAll, describe, expect, it } from 'vitest';
import type { Envoy, EnvoyOutcome, EnvoyRequest } from '../../src/envoy/face.js';
import { loadEnvoy } from '../../src/envoy/load.js';

/** Recorded meshes (Istio 1.18.2 and 1.30.3): what every sidecar, waypoint and gateway really did with each request. */
const recordings = fileURLToPath(new URL('../fixtures/recordings', import.meta.url));
const unpacked = mkdtempSync(path.join(tmpdir(), 'meshpath-recordings-'));
// Many small files: on a busy machine this takes a while.
afterAll(() => rmSync(unpacked, { recursive: true, force: true }), 120_000);

interface Stop {
  readonly role: string;
  readonly namespace: string;
  readonly name: string;
}

interface Link {
  readonly protocol: string;
  readonly to: string;
  readonly inner?: string;
}

interface Truth {
  readonly id: string;
  readonly to: string;
  readonly request: { protocol: string; method: string; host: string; path: string; headers?: Record<string, string> };
  /** The 1.18 recordings have one way a row instead, without the addresses inside the pods. */
  readonly paths?: readonly { readonly stops: readonly Stop[]; readonly links: readonly Link[] }[];
  readonly from: string;
  readonly stops?: readonly Stop[];
  readonly links?: readonly { readonly protocol: string; readonly to?: string }[];
}

interface Service {
  readonly metadata: { readonly namespace: string; readonly name: string };
  readonly spec: { readonly clusterIP: string };
}

interface Pod {
  readonly metadata: { readonly namespace: string; readonly name: string };
  readonly spec: { readonly serviceAccountName: string };
  readonly status: { readonly podIP: string };
}

/** In the 1.18 recordings a stop has its Deployment's name: the pod's begins with it. */
function named(name: string, stop: Stop): boolean {
  return name === stop.name || name.startsWith(`${stop.name}-`);
}

class Recording {
  readonly folder: string;
  readonly pods: readonly Pod[];
  readonly truths: readonly Truth[];
  readonly #known = new Map<string, Envoy | null>();

  constructor(name: string) {
    this.folder = path.join(unpacked, name);
    mkdirSync(this.folder, { recursive: true });
    extract({ file: path.join(recordings, name, 'snapshot.tar.gz'), cwd: this.folder, sync: true });
    const text = readFileSync(path.join(this.folder, 'snapshot/kubernetes/pods.json'), 'utf8');
    this.pods = (JSON.parse(text) as { items: readonly Pod[] }).items;
    this.truths = readFileSync(path.join(recordings, name, 'truth.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Truth);
  }

  /** Null where the recording has no dump of this pod. */
  envoy(namespace: string, pod: string): Envoy | null {
    const file = path.join(this.folder, 'snapshot/pods', namespace, pod, 'envoy/config_dump.json');
    const known = this.#known.get(file);
    if (known !== undefined) return known;
    const clusters = path.join(path.dirname(file), 'clusters.json');
    const health = existsSync(clusters) ? { file: clusters, text: readFileSync(clusters, 'utf8') } : null;
    const made = existsSync(file) ? loadEnvoy(file, readFileSync(file, 'utf8'), health) : null;
    this.#known.set(file, made);
    return made;
  }

  pod(stop: Stop): Pod | null {
    return this.pods.find((pod) => pod.metadata.namespace === stop.namespace && named(pod.metadata.name, stop)) ?? null;
  }

  all(): readonly Envoy[] {
    const root = path.join(this.folder, 'snapshot/pods');
    return readdirSync(root).flatMap((namespace) =>
      readdirSync(path.join(root, namespace)).flatMap((pod) => this.envoy(namespace, pod) ?? []),
    );
  }
}

function identity(pod: Pod | null): string | null {
  if (pod === null) return null;
  return `spiffe://cluster.local/ns/${pod.metadata.namespace}/sa/${pod.spec.serviceAccountName}`;
}

/** The request as it arrives at stop `at`, from the truth's links. */
function arriving(
  recording: Recording,
  truth: Truth,
  stops: readonly Stop[],
  links: readonly Link[],
  at: number,
): EnvoyRequest | null {
  const [stop, before, link] = [stops[at], stops[at - 1], links[at - 1]];
  if (stop === undefined || before === undefined || link === undefined) return null;
  const { protocol, method, host, path: written, headers = {} } = truth.request;
  const http = protocol === 'http' ? { method, authority: host, path: written, headers } : null;
  const src = `${recording.pod(before)?.status.podIP ?? '10.9.9.9'}:40000`;
  const base = { src, dst: link.to, tls: null, connect: null, innerTls: null, http };
  const client = before.role === 'ztunnel' ? stops[at - 2] : before;
  const peer = client === undefined ? null : identity(recording.pod(client));
  const port = link.to.slice(link.to.lastIndexOf(':') + 1);
  if (link.protocol === 'hbone') {
    const connect = { authority: link.inner ?? '', headers: {} };
    return { ...base, listener: '0.0.0.0:15008', tls: { sni: null, alpn: ['h2'], peer }, connect };
  }
  if (stop.role === 'gateway') return { ...base, listener: `0.0.0.0:${port}` };
  if (before.namespace === stop.namespace && before.name === stop.name) return { ...base, listener: '0.0.0.0:15001' };
  if (link.protocol !== 'tls') return { ...base, listener: '0.0.0.0:15006' };
  const alpn = http === null ? ['istio-peer-exchange', 'istio'] : ['istio-http/1.1', 'istio', 'http/1.1'];
  const sni = `outbound_.${truth.to.split(':')[1] ?? ''}_._.${host.split(':')[0] ?? ''}`;
  return { ...base, listener: '0.0.0.0:15006', tls: { sni, alpn, peer } };
}

function way(outcome: EnvoyOutcome): string {
  if (outcome.action !== 'forward') return `${outcome.action} ${outcome.reason ?? ''}`;
  if (outcome.hbone !== null) return `hbone ${outcome.hbone.to} ${outcome.hbone.authority}`;
  return `${outcome.tls === 'none' ? 'tcp' : 'tls'} ${outcome.to ?? ''}`;
}

/** HBONE endpoints are internal addresses, all others sockets or the original destination. */
function addressTypesFit(outcomes: readonly EnvoyOutcome[]): boolean {
  return outcomes.every(
    (item) =>
      item.action !== 'forward' || (item.endpointAddressType === 'envoy_internal_address') === (item.hbone !== null),
  );
}

const names = readdirSync(recordings).sort();

describe.each(names)('%s', (name) => {
  it('has dumps without a problem', () => {
    for (const envoy of new Recording(name).all()) expect(envoy.problems).toEqual([]);
  });
});

describe.each(names.filter((name) => !name.includes('1.18')))('%s', (name) => {
  const recording = new Recording(name);
  const results: { row: string; want: string; got: readonly EnvoyOutcome[] }[] = [];
  for (const truth of recording.truths) {
    for (const { stops, links } of truth.paths ?? []) {
      stops.forEach((stop, at) => {
        if (!['sidecar', 'waypoint', 'gateway'].includes(stop.role)) return;
        const pod = recording.pod(stop);
        const envoy = pod === null ? null : recording.envoy(pod.metadata.namespace, pod.metadata.name);
        const request = arriving(recording, truth, stops, links, at);
        if (envoy === null || request === null) return;
        const next = links[at];
        const want =
          next === undefined
            ? 'ends'
            : next.protocol === 'hbone'
              ? `hbone ${next.to} ${next.inner ?? ''}`
              : `${next.protocol} ${next.to}`;
        results.push({ row: `${truth.id} at ${stop.role} ${stop.name}`, want, got: envoy.decide(request) });
      });
    }
  }

  it('gives the endpoint, the waypoint and the transport of every request', () => {
    expect(results.length).toBeGreaterThan(0);
    const wrong = results.filter(({ want, got }) =>
      want === 'ends' ? got.some((item) => item.action === 'forward') : !got.some((item) => way(item) === want),
    );
    expect(wrong.map(({ row, want, got }) => `${row}: seen ${want}, derived ${got.map(way).join(', ')}`)).toEqual([]);
  });

  it('is certain, and knows the form of each endpoint', () => {
    for (const { row, got } of results) {
      expect(
        got.flatMap((item) => item.unknowns),
        row,
      ).toEqual([]);
      expect(addressTypesFit(got), row).toBe(true);
    }
  });
});

/** Goes from the client's sidecar to the next Envoy with the CONNECT that the first one makes. */
describe.each(names.filter((name) => name.includes('1.18')))('%s', (name) => {
  const recording = new Recording(name);
  const services = (
    JSON.parse(readFileSync(path.join(recording.folder, 'snapshot/kubernetes/services.json'), 'utf8')) as {
      items: readonly Service[];
    }
  ).items;
  const rows = recording.truths.filter(
    ({ stops }) => stops?.[1]?.role === 'sidecar' && stops[0]?.name === stops[1].name,
  );

  it.each(rows.map((row) => [row.id, row] as const))('%s leaves the sidecar, and the waypoint, as seen', (_id, row) => {
    const [target = '', port = ''] = row.to.split(':');
    const [namespace = '', service = ''] = target.split('/');
    const vip = services.find((item) => item.metadata.namespace === namespace && item.metadata.name === service);
    const [client, second] = row.stops?.slice(1) ?? [];
    const pod = client === undefined ? null : recording.pod(client);
    const envoy = pod === null ? null : recording.envoy(pod.metadata.namespace, pod.metadata.name);
    const link = row.links?.[1];
    if (vip === undefined || pod === null || envoy === null || second === undefined || link?.to === undefined) return;
    const authority = `${service}.${namespace}.svc.cluster.local:${port}`;
    const http = { method: 'GET', authority, path: '/', headers: {} };
    const base = { tls: null, connect: null, innerTls: null, http };
    const src = `${pod.status.podIP}:40000`;
    const told = envoy.decide({ ...base, listener: '0.0.0.0:15001', src, dst: `${vip.spec.clusterIP}:${port}` });
    expect(told.flatMap((item) => item.unknowns)).toEqual([]);
    const chosen = told.find((item) => (item.hbone?.to ?? item.to) === link.to);
    expect(chosen?.hbone === null ? 'tcp' : 'hbone', told.map(way).join(', ')).toBe(
      link.protocol === 'hbone' ? 'hbone' : 'tcp',
    );
    const next = recording.pod(second);
    const server =
      second.role === 'ztunnel' || next === null ? null : recording.envoy(next.metadata.namespace, next.metadata.name);
    if (server === null || chosen?.hbone == null) return;
    const connect = { authority: chosen.hbone.authority, headers: {} };
    const tls = { sni: null, alpn: ['h2'], peer: identity(pod) };
    const inner = server.decide({ ...base, listener: '0.0.0.0:15008', src, dst: link.to, tls, connect });
    const [ip = ''] = chosen.hbone.authority.split(':');
    const want =
      second.role === 'waypoint' ? `hbone ${ip}:15008 ${chosen.hbone.authority}` : `tcp ${chosen.hbone.authority}`;
    expect(inner.map(way)).toContain(want);
  });
});
