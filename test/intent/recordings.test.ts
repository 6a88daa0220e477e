import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { expectedPaths } from '../../src/intent/expected.js';
import { findDestination, findSource } from '../../src/mesh/find.js';
import { loadMesh } from '../../src/mesh/load.js';
import type { Mesh } from '../../src/mesh/model.js';
import type { Question } from '../../src/mesh/question.js';
import { openSnapshot } from '../../src/snapshot/open.js';
import type { Path } from '../../src/walk/trace.js';

/**
 * Where the data plane does what the API objects ask for, the expected way is the one that was really taken. The rows in
 * which it does not are the faults of the recordings: those, and no others, may differ.
 */
const FAULTS: Readonly<Record<string, readonly string[]>> = {
  'coexistence-1.18.2': [],
  'coexistence-1.18.2-ipset-missing': ['S1', 'S4', 'S5'],
  'coexistence-1.18.2-l4-deny': [],
  'coexistence-1.18.2-server-sidecar-without-hbone': [],
  'coexistence-1.18.2-table100-route-missing': ['S2', 'S5', 'S7'],
  'coexistence-1.18.2-waypoint-not-ready': [],
  // nobody listens on that port, which no API object says
  'coexistence-1.30.3': ['amb-closed-podip'],
  'coexistence-1.30.3-legacy-backend': ['amb-closed-podip'],
  'coexistence-1.30.3-ambient-label-removed': [],
  'coexistence-1.30.3-control-client-sidecar-without-hbone': [],
  'coexistence-1.30.3-control-destinationrule-istio-mutual': [],
  'coexistence-1.30.3-destinationrule-istio-mutual': [],
  'coexistence-1.30.3-l7-policy-at-ztunnel': [],
  'coexistence-1.30.3-strict-plain-client': [],
  'coexistence-1.30.3-waypoint-name-wrong': [],
  'coexistence-1.30.3-ipset-missing': ['probe-strict'],
  'coexistence-1.30.3-waypoint-dead': ['amb-bar2-hello', 'ambB-bar2-hello'],
  'coexistence-1.30.3-inpod-rules-flushed': [
    'amb-bar1-httpbin',
    'sc-bar1-httpbin',
    'plain-bar1-httpbin',
    'ambB-bar1-httpbin',
    'gw-bar1',
    'bar1b-out',
  ],
  'coexistence-1.30.3-networkpolicy-15008': [
    'amb-bar1-podip',
    'amb-bar1-httpbin-1',
    'ambB-bar1-httpbin-1',
    'sc-bar1-httpbin-1',
    'gw-bar1-1',
  ],
  'coexistence-1.30.3-ztunnel-down': [
    'amb-bar1-httpbin',
    'amb-bar2-hello',
    'plain-bar1-httpbin',
    'ambB-bar-httpbin',
    'ambB-bar1-httpbin',
    'amb-strict',
  ],
};

interface TruthStop {
  readonly role: string;
  readonly namespace: string;
  readonly name: string;
  readonly node?: string;
}

interface TruthPath {
  readonly verdict: string;
  readonly encryption?: string | null;
  readonly stops?: readonly TruthStop[];
  readonly links?: readonly { readonly protocol: string }[];
}

interface TruthRow extends TruthPath {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  readonly address: string;
  readonly request: {
    readonly protocol: string;
    readonly method?: string;
    readonly path?: string;
    readonly headers?: Record<string, string>;
  };
  readonly paths?: readonly TruthPath[];
}

const ROOT = path.join(import.meta.dirname, '../fixtures/recordings');

function rowsOf(name: string): readonly TruthRow[] {
  const lines = readFileSync(path.join(ROOT, name, 'truth.jsonl'), 'utf8')
    .trim()
    .split('\n');
  return lines.map((line) => JSON.parse(line) as TruthRow);
}

function questionOf(mesh: Mesh, row: TruthRow): Question {
  const protocol = row.request.protocol === 'tcp' ? 'tcp' : 'http';
  const source = findSource(mesh, row.from, { namespace: null });
  const destination = findDestination(mesh, row.to, {
    namespace: null,
    sourceNamespace: null,
    port: null,
    direct: row.address === 'podip',
    protocol,
  });
  if (source.kind === 'failed') throw new Error(source.message);
  if (destination.kind === 'failed') throw new Error(destination.message);
  const { method, path: url, headers } = row.request;
  return {
    source: source.value,
    destination: destination.value,
    protocol,
    method: method ?? 'GET',
    path: url ?? '/',
    headers: headers ?? {},
  };
}

function takes(ours: Path, truth: TruthPath): boolean {
  const stops = truth.stops ?? [];
  return (
    ours.verdict === truth.verdict &&
    ours.encryption === (truth.encryption ?? null) &&
    ours.stops.length === stops.length &&
    stops.every((stop, index) => {
      const mine = ours.stops[index];
      return (
        mine !== undefined &&
        mine.role === stop.role &&
        [mine, ...(mine.also ?? [])].some(
          (one) => one.namespace === stop.namespace && one.name.startsWith(stop.name) && (stop.node ?? '') === one.node,
        )
      );
    }) &&
    (truth.links === undefined ||
      truth.links.map((link) => link.protocol).join() === ours.links.map((link) => link.protocol).join())
  );
}

function describePath(one: Path): string {
  return `${one.verdict} ${String(one.encryption)} ${one.stops.map((stop) => `${stop.role} ${stop.namespace}/${stop.name}@${stop.node}`).join(' > ')} (${one.reason})`;
}

describe('the expected ways of the recorded meshes', () => {
  it.each(Object.entries(FAULTS))('%s', async (name, faults) => {
    const mesh = loadMesh(await openSnapshot(path.join(ROOT, name)));
    const differing: string[] = [];
    for (const row of rowsOf(name)) {
      const expected = expectedPaths(mesh, questionOf(mesh, row));
      expect(expected.filter((one) => one.verdict === 'unknown').map(describePath)).toEqual([]);
      const shares = expected.reduce((sum, one) => sum + (one.probability ?? NaN), 0);
      expect(shares).toBeCloseTo(1, 9);
      const truths = row.paths ?? [row];
      if (!truths.every((truth) => truth.stops !== undefined && expected.some((one) => takes(one, truth))))
        differing.push(row.id);
    }
    expect(differing).toEqual(faults);
  });

  it('carry derived hops, each with its stop, and most with evidence', async () => {
    const mesh = loadMesh(await openSnapshot(path.join(ROOT, 'coexistence-1.30.3')));
    for (const row of rowsOf('coexistence-1.30.3')) {
      for (const one of expectedPaths(mesh, questionOf(mesh, row))) {
        for (const hop of one.hops) {
          expect(hop.basis).toBe('derived');
          expect(one.stops[hop.stop]).toBeDefined();
          for (const evidence of hop.evidence) expect(mesh.snapshot.read(evidence.file).kind).toBe('text');
        }
      }
    }
  });

  it.each(['coexistence-1.18.2', 'coexistence-1.18.2-l4-deny', 'coexistence-1.30.3'])(
    '%s without any one list: the same, unknown in part, or no answer',
    async (name) => {
      const inner = await openSnapshot(path.join(ROOT, name));
      const rows = rowsOf(name);
      const whole = loadMesh(inner);
      for (const file of inner.list('kubernetes')) {
        const mesh = loadMesh({
          ...inner,
          read: (given) =>
            given === `kubernetes/${file}` ? { kind: 'missing', path: given, reason: 'taken away' } : inner.read(given),
        });
        for (const row of rows) {
          let expected: readonly Path[];
          try {
            expected = expectedPaths(mesh, questionOf(mesh, row));
          } catch {
            continue;
          }
          const before = expectedPaths(whole, questionOf(whole, row)).map(describePath);
          const certain = expected.filter((one) => one.verdict !== 'unknown').map(describePath);
          expect({ file, row: row.id, other: certain.filter((one) => !before.includes(one)) }).toEqual({
            file,
            row: row.id,
            other: [],
          });
        }
      }
    },
  );
});
