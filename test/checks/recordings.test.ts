import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { answer } from '../../src/commands/_answer.js';
import { errorsOf, validatorOf } from '../schema/validate.js';
import { renderJson } from '../../src/render/json.js';
import { renderText } from '../../src/render/text.js';
import { columnsOf } from '../../src/render/escape.js';
import { Chalk } from 'chalk';
import type { Trace } from '../../src/walk/trace.js';
import { recording } from './story.js';

interface Row {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  readonly address: string;
  readonly request: {
    readonly protocol: string;
    readonly method?: string | null;
    readonly path?: string | null;
    readonly headers?: Record<string, string>;
  };
}

/** For each recorded fault the rows that it changes, and the codes of which one must come first. */
const FAULTS: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  'coexistence-1.18.2-ipset-missing': { S1: ['MP0101'], S4: ['MP0101'], S5: ['MP0101'] },
  'coexistence-1.18.2-l4-deny': { S2: ['MP5007'] },
  'coexistence-1.18.2-server-sidecar-without-hbone': { S1: ['MP3008'] },
  'coexistence-1.18.2-table100-route-missing': { S2: ['MP1102'], S5: ['MP1102'], S7: ['MP1102'] },
  'coexistence-1.18.2-waypoint-not-ready': { S3: ['MP4004'], S4: ['MP4004'] },
  'coexistence-1.30.3-ambient-label-removed': {
    'amb-bar-httpbin': ['MP1018'],
    'amb-bar1-httpbin': ['MP1018'],
    'amb-locked': ['MP1018'],
    'amb-strict': ['MP3004'],
    'amb-strict-sc': ['MP3004'],
    'sc-bar-httpbin': ['MP1004'],
  },
  'coexistence-1.30.3-destinationrule-istio-mutual': { 'sc-baz-plain': ['MP3009'] },
  'coexistence-1.30.3-inpod-rules-flushed': {
    'amb-bar1-httpbin': ['MP1001'],
    'sc-bar1-httpbin': ['MP1001'],
    'plain-bar1-httpbin': ['MP1001'],
    'ambB-bar1-httpbin': ['MP1001'],
    'gw-bar1': ['MP1001'],
    'bar1b-out': ['MP1001'],
  },
  'coexistence-1.30.3-ipset-missing': { 'probe-strict': ['MP0101'] },
  'coexistence-1.30.3-l7-policy-at-ztunnel': {
    'plain-bar1-httpbin': ['MP5002'],
    'amb-bar1-httpbin-1': ['MP5002'],
    'sc-bar1-httpbin-1': ['MP5002'],
    'gw-bar1-1': ['MP5002'],
  },
  'coexistence-1.30.3-networkpolicy-15008': {
    'amb-bar1-podip': ['MP7001'],
    'amb-bar1-httpbin-1': ['MP7001'],
    'ambB-bar1-httpbin-1': ['MP7001'],
    'sc-bar1-httpbin-1': ['MP7001'],
    'gw-bar1-1': ['MP7001'],
  },
  'coexistence-1.30.3-strict-plain-client': {
    'plain-bar-httpbin': ['MP3004'],
    'plain-bar1-httpbin': ['MP3004'],
    'sc-bar1-podip': ['MP3004'],
    'sc-bar-podip': ['MP3004'],
    'sc-bar1-headless': ['MP3004'],
    'plain-bar1-podip': ['MP3004'],
  },
  'coexistence-1.30.3-waypoint-dead': { 'amb-bar2-hello': ['MP4004'], 'ambB-bar2-hello': ['MP4004'] },
  'coexistence-1.30.3-waypoint-name-wrong': {
    'amb-bar2-hello': ['MP4003'],
    'ambB-bar2-hello': ['MP4003'],
    'amb-hello-post': ['MP4003'],
    'hello-v2-to-hello': ['MP4003'],
  },
  'coexistence-1.30.3-ztunnel-down': {
    'amb-bar1-httpbin': ['MP1010'],
    'amb-bar2-hello': ['MP1010'],
    'plain-bar1-httpbin': ['MP1010'],
    'ambB-bar-httpbin': ['MP1010'],
    'ambB-bar1-httpbin': ['MP1010'],
    'amb-strict': ['MP1010'],
  },
};

const HEALTHY = [
  'coexistence-1.18.2',
  'coexistence-1.30.3',
  'coexistence-1.30.3-legacy-backend',
  'coexistence-1.30.3-control-client-sidecar-without-hbone',
  'coexistence-1.30.3-control-destinationrule-istio-mutual',
];

function rowsOf(name: string): readonly Row[] {
  const file = new URL(`../fixtures/recordings/${name}/truth.jsonl`, import.meta.url);
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line): Row => JSON.parse(line));
}

const answers = new Map<string, Trace>();

/** Each question is answered once, however many tests look at the answer. */
async function ask(name: string, row: Row): Promise<Trace> {
  const key = `${name} ${row.id}`;
  const known = answers.get(key);
  if (known !== undefined) return known;
  const made = answer(await recording(name), {
    from: row.from,
    to: row.to,
    direct: row.address === 'podip',
    protocol: row.request.protocol === 'tcp' ? 'tcp' : 'http',
    method: row.request.method ?? undefined,
    path: row.request.path ?? undefined,
    headers: row.request.headers ?? {},
  });
  answers.set(key, made);
  return made;
}

describe.each(Object.entries(FAULTS))('%s', (name, wanted) => {
  const rows = rowsOf(name);

  test.each(Object.entries(wanted))('%s: the recorded cause comes first', async (id, codes) => {
    const row = rows.find((entry) => entry.id === id);
    if (row === undefined) throw new Error(`no row ${id}`);
    const { findings } = await ask(name, row);
    expect(codes, JSON.stringify(findings.map((finding) => finding.code))).toContain(findings[0]?.code);
  });
});

describe.each(HEALTHY)('%s: no false alarm', (name) => {
  test.each(rowsOf(name).map((row) => [row.id, row] as const))('%s', async (_id, row) => {
    const { findings, paths } = await ask(name, row);
    const delivered = paths.every((path) => path.verdict === 'delivered');
    // A policy that a waypoint enforces and this client skips is a hole in a healthy mesh too.
    const errors = findings.filter(
      (finding) => finding.severity === 'error' && !['MP4001', 'MP4002'].includes(finding.code),
    );
    if (delivered) expect(errors).toEqual([]);
    else expect(findings.length).toBeGreaterThanOrEqual(row.id === 'plain-ext' || row.id === 'gw-none' ? 0 : 1);
  });
});

describe.each(['coexistence-1.18.2', 'coexistence-1.30.3', 'coexistence-1.30.3-ztunnel-down'])(
  '%s: every answer',
  (name) => {
    const closed = validatorOf('trace', 'refused');

    test('fits the published schema, and no more', async () => {
      for (const row of rowsOf(name)) {
        const value: unknown = JSON.parse(renderJson(await ask(name, row)));
        expect(errorsOf(closed, value), row.id).toEqual([]);
      }
    });

    test('is at most 80 columns wide, in brief and in full', async () => {
      for (const row of rowsOf(name)) {
        const trace = await ask(name, row);
        for (const verbose of [false, true]) {
          const text = renderText(trace, { verbose, color: new Chalk({ level: 0 }), columns: 80, unicode: true });
          const wide = text.split('\n').filter((line) => columnsOf(line) > 80);
          expect(wide, row.id).toEqual([]);
        }
      }
    });
  },
);
