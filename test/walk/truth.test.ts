import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { answer } from '../../src/commands/_answer.js';
import { openSnapshot } from '../../src/snapshot/open.js';
import type { Link, Path, Stop } from '../../src/walk/trace.js';

/**
 * What really happened to each connection of the recorded meshes. Every way that was observed must be among the answer's
 * paths, with that verdict, those stops in that order, those links and that encryption.
 */
interface TruthPath {
  readonly verdict: string;
  readonly encryption?: string | null;
  readonly stops?: readonly {
    readonly role: string;
    readonly namespace: string;
    readonly name: string;
    readonly node?: string;
  }[];
  readonly links?: readonly {
    readonly protocol: string;
    readonly to?: string;
    readonly encrypted?: boolean;
    readonly inner?: string;
  }[];
}

interface TruthRow extends TruthPath {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  readonly address: string;
  readonly request: {
    readonly protocol: string;
    readonly method?: string | null;
    readonly path?: string | null;
    readonly host?: string | null;
    readonly headers?: Record<string, string>;
  };
  readonly paths?: readonly TruthPath[];
}

const ROOT = path.join(import.meta.dirname, '../fixtures/recordings');

function rowsOf(recording: string): readonly TruthRow[] {
  const text = readFileSync(path.join(ROOT, recording, 'truth.jsonl'), 'utf8');
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as TruthRow);
}

function sameStop(ours: Stop, truth: { role: string; namespace: string; name: string; node?: string }): boolean {
  const named = [ours, ...(ours.also ?? [])];
  return (
    ours.role === truth.role &&
    named.some(
      (stop) =>
        stop.namespace === truth.namespace &&
        (truth.role === 'external' || stop.name.startsWith(truth.name)) &&
        (truth.node === undefined || stop.node === truth.node),
    )
  );
}

function sameLink(ours: Link, truth: NonNullable<TruthPath['links']>[number]): boolean {
  return (
    ours.protocol === truth.protocol &&
    (truth.to === undefined || [ours.to, ...(ours.also ?? [])].includes(truth.to)) &&
    (truth.inner === undefined || ours.also !== undefined || ours.inner === truth.inner) &&
    (truth.encrypted === undefined || ours.encrypted === truth.encrypted)
  );
}

function matches(ours: Path, truth: TruthPath): boolean {
  if (ours.verdict !== truth.verdict) return false;
  // Recordings of a hang say nothing of where: the client only saw silence.
  if (truth.stops === undefined) return true;
  if (truth.encryption !== undefined && ours.encryption !== truth.encryption) return false;
  if (ours.stops.length !== truth.stops.length) return false;
  if (!truth.stops.every((stop, i) => ours.stops[i] !== undefined && sameStop(ours.stops[i], stop))) return false;
  return (truth.links ?? []).every((link, i) => {
    const mine = ours.links[i];
    return mine !== undefined && sameLink(mine, link);
  });
}

function describePath(p: Path | TruthPath): string {
  const stops = (p.stops ?? []).map((s) => `${s.role}:${s.namespace}/${s.name}@${s.node ?? ''}`).join(' > ');
  const links = (p.links ?? []).map((l) => `${l.protocol}→${l.to ?? ''}`).join(' ');
  return `${p.verdict} ${p.encryption ?? 'null'} | ${stops} | ${links}${'reason' in p ? ` | ${p.reason}` : ''}`;
}

for (const recording of readdirSync(ROOT)) {
  describe(recording, async () => {
    const snapshot = await openSnapshot(path.join(ROOT, recording, 'snapshot.tar.gz'));
    for (const row of rowsOf(recording)) {
      it(`${row.id}: ${row.from} to ${row.to} (${row.address})`, () => {
        const headers = { ...(row.request.headers ?? {}) };
        if (row.request.host != null && !('Host' in headers) && row.address === 'service')
          headers['Host'] = row.request.host;
        const trace = answer(snapshot, {
          from: row.from,
          to: row.to,
          direct: row.address === 'podip',
          protocol: row.request.protocol === 'tcp' ? 'tcp' : 'http',
          method: row.request.method ?? undefined,
          path: row.request.path ?? undefined,
          headers: row.request.headers ?? {},
        });
        const wanted = row.paths ?? [row];
        const missing = wanted.filter((way) => !trace.paths.some((ours) => matches(ours, way)));
        const report = `truth:\n  ${missing.map(describePath).join('\n  ')}\nanswer:\n  ${trace.paths.map(describePath).join('\n  ')}`;
        expect(missing.length, report).toBe(0);
      });
    }
  });
}
