import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Ajv } from 'ajv';
import { Chalk } from 'chalk';
import { describe, expect, it } from 'vitest';
import { ExpectedError } from '../../src/commands/_errors.js';
import { workloadsOf } from '../../src/commands/_ls.js';
import { parseSelector } from '../../src/commands/_selector.js';
import { selectorMatches } from '../../src/mesh/labels.js';
import { renderWorkloads, renderWorkloadsJson } from '../../src/render/ls.js';
import { memorySnapshot } from '../../src/snapshot/memory.js';
import { openSnapshot } from '../../src/snapshot/open.js';
import type { Snapshot } from '../../src/snapshot/snapshot.js';
import { controlPlane, list, namespace, pod } from '../mesh/cluster.js';

function recording(name: string): Promise<Snapshot> {
  return openSnapshot(path.join(import.meta.dirname, '../fixtures/recordings', name));
}

const PLAIN = { color: new Chalk({ level: 0 }), unicode: true };

/** Pods that are found otherwise than expected, and how, in the recordings where there are some. */
const OTHERWISE: Readonly<Record<string, readonly string[]>> = {
  'coexistence-1.18.2': [],
  'coexistence-1.18.2-ipset-missing': [
    'foo/sleep partly: table 100 has its route, but it is not in set ztunnel-pods-ips',
  ],
  'coexistence-1.18.2-table100-route-missing': [
    'bar-1/httpbin partly: it is in set ztunnel-pods-ips, but table 100 has no route to it',
  ],
  'coexistence-1.30.3': [],
  'coexistence-1.30.3-legacy-backend': [],
  'coexistence-1.30.3-ambient-label-removed': [],
  'coexistence-1.30.3-inpod-rules-flushed': [
    'bar-1/httpbin partly: ztunnel serves it, but no rule of the pod redirects',
  ],
  'coexistence-1.30.3-ztunnel-down': [
    'bar-1/httpbin partly: its rules redirect to 15001, where nobody listens',
    'bar-2/helloworld-v2 partly: its rules redirect to 15001, where nobody listens',
    'foo/sleep-b partly: its rules redirect to 15001, where nobody listens',
    'strict/httpbin partly: its rules redirect to 15001, where nobody listens',
  ],
};

describe('the workloads of a recorded mesh', () => {
  it.each(Object.entries(OTHERWISE))('%s', async (name, otherwise) => {
    const { items, unknowns, problems } = workloadsOf(await recording(name), null);
    expect(unknowns).toEqual([]);
    expect(problems).toEqual([]);
    const wrong = items.filter((item) => item.agrees !== true);
    expect(
      wrong.map((item) => `${item.namespace}/${item.owner?.name ?? ''} ${item.found.by}: ${item.found.reason}`),
    ).toEqual(otherwise);
    for (const item of wrong) expect(item.found.evidence.length + item.expected.evidence.length).toBeGreaterThan(0);
  });

  it('has modes, nodes, waypoints', async () => {
    const { items } = workloadsOf(await recording('coexistence-1.30.3'), null);
    const of = (ns: string, owner: string): readonly unknown[] =>
      items
        .filter((item) => item.namespace === ns && item.owner?.name === owner)
        .map((item) => [item.mode, item.node, item.waypoints.map((one) => `${one.name} ${one.state} ${one.of}`)]);
    expect(of('bar-2', 'helloworld-v1')).toEqual([
      ['ambient', 'node-c', ['waypoint ready Service bar-2/helloworld', 'waypoint ready Service bar-2/helloworld-v1']],
    ]);
    expect(of('bar-2', 'waypoint')).toEqual([['waypoint', 'node-c', []]]);
    expect(of('bar', 'httpbin')).toEqual([['sidecar', 'node-b', []]]);
    expect(of('ingress', 'gateway-istio')).toEqual([['gateway', 'node-b', []]]);
    expect(of('baz', 'hostnet')).toEqual([['hostNetwork', 'node-c', []]]);
    expect(of('baz', 'sleep-plain')).toEqual([['plain', 'node-a', []]]);
  });

  it('shows a waypoint that is asked for and is not there', async () => {
    const text = renderWorkloads(workloadsOf(await recording('coexistence-1.30.3-waypoint-name-wrong'), 'bar-2'), {
      ...PLAIN,
      wide: false,
    });
    expect(text).toContain('(missing)');
  });

  it('is one namespace where that is asked', async () => {
    const { items } = workloadsOf(await recording('coexistence-1.30.3'), 'foo');
    expect(items.map((item) => item.owner?.name)).toEqual(['notsleep', 'sleep', 'sleep-b']);
  });

  it('says what it does not know, file by file', async () => {
    const inner = await recording('coexistence-1.30.3');
    const without = (part: string): Snapshot => ({
      ...inner,
      read: (file) => (file.includes(part) ? { kind: 'missing', path: file, reason: 'taken away' } : inner.read(file)),
    });
    const rules = workloadsOf(without('iptables-save.txt'), 'foo');
    expect(rules.items.map((item) => [item.found.by, item.agrees])).toEqual([
      ['unknown', null],
      ['unknown', null],
      ['unknown', null],
    ]);
    const dumps = workloadsOf(without('ztunnel/config_dump.json'), 'foo');
    expect(dumps.items.map((item) => item.found.by)).toEqual(['unknown', 'unknown', 'unknown']);
    expect(dumps.unknowns.map((unknown) => unknown.fact).join()).toContain('ztunnel/config_dump.json');
    const labels = workloadsOf(without('namespaces.json'), 'foo');
    expect(labels.items.map((item) => [item.expected.by, item.found.by])).toEqual([
      ['ztunnel', 'ztunnel'],
      ['ztunnel', 'ztunnel'],
      ['ztunnel', 'ztunnel'],
    ]);
    expect(() => workloadsOf(without('pods.json'), null)).toThrow(ExpectedError);
    expect(() => workloadsOf(inner, 'nowhere')).toThrow(/no namespace nowhere/);
  });
});

describe('the list as text', () => {
  it('is a table, the faults with their evidence, and a sentence', async () => {
    const text = renderWorkloads(workloadsOf(await recording('coexistence-1.18.2-ipset-missing'), 'foo'), {
      ...PLAIN,
      wide: false,
    });
    const lines = text.split('\n');
    expect(lines[0]).toMatch(/^NAMESPACE +POD +MODE +EXPECTED +FOUND +NODE +WAYPOINT$/);
    expect(text).toContain('✖ foo/sleep-');
    expect(text).toContain('nodes/node-a/netns/ip-route.json');
    expect(lines.at(-2)).toBe('2 pods, 2 of them meant to be in the mesh; 1 found otherwise than expected.');
    for (const line of lines) expect(line.length).toBeLessThan(200);
  });

  it('lets no name steer the terminal', () => {
    const evil = pod('a', 'x', { serviceAccount: 'evil\u001b[2J' });
    const snapshot = memorySnapshot(
      new Map([
        ['kubernetes/pods.json', list(evil, ...controlPlane('1.30.3'))],
        ['kubernetes/namespaces.json', list(namespace('a'), namespace('istio-system'))],
      ]),
    );
    const workloads = workloadsOf(snapshot, 'a');
    expect(renderWorkloads(workloads, { ...PLAIN, wide: true })).not.toContain('\u001b');
    expect(renderWorkloadsJson(workloads)).not.toContain('\u001b');
  });
});

describe('the list as JSON', () => {
  const schema: unknown = JSON.parse(
    readFileSync(new URL('../../schema/workload-list.schema.json', import.meta.url), 'utf8'),
  );
  if (typeof schema !== 'object' || schema === null) throw new Error('a schema is an object');
  const validate = new Ajv({ strict: true, allowUnionTypes: true, allErrors: true }).compile(schema);

  it.each(Object.keys(OTHERWISE))('%s fits the schema', async (name) => {
    const value: unknown = JSON.parse(renderWorkloadsJson(workloadsOf(await recording(name), null)));
    validate(value);
    expect(validate.errors ?? []).toEqual([]);
  });
});

describe('a long list', () => {
  it('keeps its columns in line from the first row to the last', () => {
    const names = Array.from({ length: 250 }, (_, at) => (at === 240 ? 'a-name-much-longer-than-others' : `pod-${at}`));
    const snapshot = memorySnapshot(
      new Map([
        ['kubernetes/pods.json', list(...names.map((name) => pod('foo', name)), ...controlPlane('1.30.3'))],
        ['kubernetes/namespaces.json', list(namespace('foo'), namespace('istio-system'))],
      ]),
    );
    const lines = renderWorkloads(workloadsOf(snapshot, 'foo'), { ...PLAIN, wide: false })
      .split('\n')
      .slice(0, 251);
    const column = lines[0]?.indexOf('MODE') ?? -1;
    expect(column).toBeGreaterThan('foo  a-name-much-longer-than-others'.length);
    expect(lines.slice(1).filter((line) => line.slice(column - 1).startsWith(' plain'))).toHaveLength(250);
  });
});

describe('--selector', () => {
  const LABELS = { app: 'web', tier: 'front', 'app.kubernetes.io/name': 'web' };
  it.each([
    ['app=web', true],
    ['app==web', true],
    ['app=api', false],
    ['app!=api', true],
    ['app!=web', false],
    ['missing!=web', true],
    ['app in (api, web)', true],
    ['app notin (api,web)', false],
    ['tier,app in (web,api),!old', true],
    ['!tier', false],
    ['app.kubernetes.io/name=web , tier = front', true],
    ['app=', false],
  ])('%s', (text, expected) => expect(selectorMatches(parseSelector(text), LABELS)).toBe(expected));

  it.each(['', 'app=web,', 'a b', 'app in web', 'app>1', '=web', 'app in (a', '!(a)'])(
    '"%s" is no selector',
    (text) => {
      expect(() => parseSelector(text)).toThrow(/--selector .*: expected app=web/);
    },
  );

  it('lists the pods that have these labels', async () => {
    const snapshot = await recording('coexistence-1.30.3/snapshot.tar.gz');
    const read = snapshot.read('kubernetes/pods.json');
    const pods = (JSON.parse(read.kind === 'text' ? read.text : '{}') as { items: { metadata: Labelled }[] }).items;
    const labelled = pods.flatMap(({ metadata: { namespace: of, name, labels } }) =>
      labels?.['app'] === 'httpbin' ? [`${of}/${name}`] : [],
    );
    const some = workloadsOf(snapshot, null, parseSelector('app=httpbin')).items;
    expect(labelled.length).toBeGreaterThan(0);
    expect(new Set(some.map((item) => `${item.namespace}/${item.name}`))).toEqual(new Set(labelled));
  });
});

interface Labelled {
  readonly namespace: string;
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>>;
}

it('a namespace that does not exist is answered with as many names as a person reads', () => {
  const many = Array.from({ length: 100 }, (_, at) => namespace(`team-${at}`));
  const files = new Map([
    ['kubernetes/pods.json', list()],
    ['kubernetes/namespaces.json', list(...many)],
  ]);
  let said: unknown = null;
  try {
    workloadsOf(memorySnapshot(files), 'nowhere');
  } catch (error) {
    said = error;
  }
  expect(said).toMatchObject({ exit: 2, suggestions: [expect.stringMatching(/^There are: team-0, .* and 70 more$/)] });
});
