import { beforeAll, describe, expect, it } from 'vitest';
import { answer } from '../../src/commands/_answer.js';
import { workloadsOf } from '../../src/commands/_ls.js';
import { splitCluster } from '../../src/snapshot/clusters.js';
import { memorySnapshot } from '../../src/snapshot/memory.js';
import { openSnapshot } from '../../src/snapshot/open.js';
import type { Snapshot } from '../../src/snapshot/snapshot.js';

const RECORDING = 'test/fixtures/recordings/coexistence-1.30.3/snapshot.tar.gz';
const WEST = 'user@west';

let one: Snapshot;
/** The recording twice: as `east` at the root, and as another cluster, whose namespaces and pods are called otherwise. */
let two: Snapshot;
let twins: Snapshot;

function filesOf(snapshot: Snapshot, folder = ''): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const name of snapshot.list(folder)) {
    const path = folder === '' ? name : `${folder}/${name}`;
    const read = snapshot.read(path);
    if (read.kind === 'text') found.set(path, read.text);
    else for (const [inner, text] of filesOf(snapshot, path)) found.set(inner, text);
  }
  return found;
}

function manifest(context: string): string {
  return JSON.stringify({
    apiVersion: 'meshpath.dev/v1',
    kind: 'Snapshot',
    capturedAt: '2026-11-21T03:10:00Z',
    cluster: { context },
  });
}

/** Other names and addresses, so that nothing of the one is in the other. */
function elsewhere(text: string): string {
  return text
    .replace(/\bfoo\b/g, 'oof')
    .replace(/\bbar\b/g, 'rab')
    .replace(/\b10\.244\./g, '10.144.')
    .replace(/\b10\.96\./g, '10.196.');
}

beforeAll(async () => {
  one = await openSnapshot(RECORDING);
  const files = filesOf(one);
  const both = (rename: (text: string) => string): Snapshot =>
    memorySnapshot(
      new Map([
        ...files,
        ['snapshot.json', manifest('east')],
        ...[...files].map(([path, text]) => [`clusters/user_west/${rename(path)}`, rename(text)] as const),
        ['clusters/user_west/snapshot.json', manifest(WEST)],
      ]),
    );
  two = both(elsewhere);
  twins = both((text) => text);
});

/** Paths and findings, without what says which cluster it is. */
function said(trace: ReturnType<typeof answer>): unknown {
  return JSON.parse(
    JSON.stringify({ paths: trace.paths, findings: trace.findings }).replaceAll('clusters/user_west/', ''),
  );
}

describe('a trace where the snapshot holds several clusters', () => {
  it('in the first is what it is without the others', () => {
    const trace = answer(two, { from: 'foo/sleep', to: 'bar/httpbin:8000' });
    expect(said(trace)).toEqual(said(answer(one, { from: 'foo/sleep', to: 'bar/httpbin:8000' })));
    expect([trace.source.cluster, trace.destination.cluster]).toEqual(['east', 'east']);
  });

  it('in another is what it is there, with evidence in its folder', () => {
    const words = { from: `foo/sleep@${WEST}`, to: 'bar-1/httpbin:8000' };
    const trace = answer(twins, words);
    expect(said(trace)).toEqual(said(answer(one, { ...words, from: 'foo/sleep' })));
    expect([trace.source.cluster, trace.destination.cluster]).toEqual([WEST, WEST]);
    const files = trace.paths.flatMap((path) => path.hops.flatMap((hop) => hop.evidence.map(({ file }) => file)));
    expect(files.length).toBeGreaterThan(0);
    for (const file of files) expect(twins.read(file).kind, file).toBe('text');
    expect(files.every((file) => file.startsWith('clusters/user_west/'))).toBe(true);
  });

  it('begins where FROM is, if only one of them has it', () => {
    const trace = answer(two, { from: 'oof/sleep', to: 'rab/httpbin:8000' });
    expect(trace.paths.map((path) => path.verdict)).toEqual(['delivered']);
    expect(trace.source.cluster).toBe(WEST);
  });

  it('does not guess which is meant: what to type stands in the error', () => {
    expect(() => answer(twins, { from: 'foo/sleep', to: 'bar/httpbin:8000' })).toThrow(
      expect.objectContaining({
        exit: 2,
        message: 'FROM: "foo/sleep" is in 2 clusters of this snapshot',
        suggestions: expect.arrayContaining([
          '  foo/sleep@east       the one of cluster east',
          `  foo/sleep@${WEST}  the one of cluster ${WEST}`,
        ]),
      }),
    );
  });

  it('what no cluster has is said once', () => {
    expect(() => answer(two, { from: 'nobody', to: 'bar/httpbin' })).toThrow(/no other cluster has it/);
    expect(() => answer(two, { from: 'foo/sleep', to: 'bar/nothing' })).toThrow(/no other cluster has it/);
  });

  it('to a Service of another cluster: the way is not known, and says what is not followed', () => {
    const trace = answer(two, { from: 'foo/sleep', to: 'rab/httpbin:8000' });
    expect(trace.paths.map(({ verdict }) => verdict)).toEqual(['unknown']);
    expect(trace.destination).toMatchObject({ kind: 'Service', namespace: 'rab', cluster: WEST });
    expect(trace.unknowns.map(({ fact }) => fact)).toEqual([
      `how rab/httpbin of cluster ${WEST} is reached from cluster east`,
    ]);
  });

  it('to a Pod of another cluster: followed to where it leaves, then unknown', () => {
    const trace = answer(two, { from: 'baz/sleep-plain@east', to: 'rab/deploy/httpbin:80', direct: true });
    expect(trace.paths.map(({ verdict }) => verdict)).toEqual(['unknown']);
    expect(trace.paths[0]?.hops.length).toBeGreaterThan(0);
    expect(trace.paths[0]?.reason).toMatch(/leaves cluster east for Pod rab\/httpbin-\S+ of cluster user@west/);
  });

  it('to an address that only another cluster knows is no delivery', () => {
    const direct = answer(two, { from: 'baz/sleep-plain@east', to: 'rab/deploy/httpbin:80', direct: true });
    const trace = answer(two, { from: 'baz/sleep-plain@east', to: `${direct.destination.ip}:80` });
    expect(trace.paths.map(({ verdict }) => verdict)).toEqual(['unknown']);
  });

  it('from outside begins where what is called is', () => {
    const trace = answer(two, { from: 'external', to: 'rab/httpbin:8000' });
    expect(trace.source).toMatchObject({ kind: 'External', cluster: WEST });
  });
});

describe('ls', () => {
  it('lists all clusters', () => {
    const list = workloadsOf(two, null);
    const alone = workloadsOf(one, null);
    expect(list.items.length).toBe(2 * alone.items.length);
    expect(new Set(list.items.map(({ cluster }) => cluster))).toEqual(new Set(['east', WEST]));
    expect(workloadsOf(two, 'oof').items.every(({ cluster }) => cluster === WEST)).toBe(true);
    expect(() => workloadsOf(two, 'ofo')).toThrow(/there is no namespace ofo/);
  });
});

describe('NAME@CONTEXT', () => {
  it.each([
    ['foo/sleep@east', 'foo/sleep', 'east'],
    [`foo/sleep@${WEST}`, 'foo/sleep', WEST],
    ['http://u@h:80/p@east', 'http://u@h:80/p', 'east'],
    ['http://u@h:80/p', 'http://u@h:80/p', null],
    ['foo/sleep@north', 'foo/sleep@north', null],
  ])('%s', (text, words, cluster) => expect(splitCluster(text, ['east', WEST])).toEqual({ words, cluster }));
});
