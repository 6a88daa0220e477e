import { Chalk } from 'chalk';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { columnsOf } from '../../src/render/escape.js';
import { renderJson } from '../../src/render/json.js';
import { escapeMermaid, renderMermaid } from '../../src/render/mermaid.js';
import { renderText, type TextOptions } from '../../src/render/text.js';
import { renderYaml } from '../../src/render/yaml.js';
import { hostileTrace, stories } from './traces.js';

const plain: TextOptions = {
  verbose: false,
  color: new Chalk({ level: 0 }),
  columns: 80,
  unicode: true,
  command: 'meshpath trace foo/sleep httpbin.bar:8000',
};

describe('text', () => {
  test.each(Object.entries(stories))('%s', async (name, story) => {
    await expect(renderText(story, plain)).toMatchFileSnapshot(`goldens/${name}.txt`);
    await expect(renderText(story, { ...plain, verbose: true })).toMatchFileSnapshot(`goldens/${name}-verbose.txt`);
  });

  test.each([40, 60, 80, 120])('no line is wider than %i columns', (columns) => {
    for (const story of Object.values(stories)) {
      for (const verbose of [false, true]) {
        for (const line of renderText(story, { ...plain, columns, verbose }).split('\n')) {
          expect(columnsOf(line), line).toBeLessThanOrEqual(columns);
        }
      }
    }
  });

  test('without Unicode everything but names is ASCII', () => {
    for (const [name, story] of Object.entries(stories)) {
      expect(renderText(story, { ...plain, unicode: false }), name).toMatch(/^[\n -~]*$/);
    }
  });

  test('the only escape sequences are the colours of chalk', () => {
    const colored = renderText(hostileTrace, { ...plain, color: new Chalk({ level: 1 }) });
    const rest = colored.replace(/\u001b\[\d+m/g, '');
    expect(rest).toBe(renderText(hostileTrace, plain));
    expect(rest).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069]/);
  });

  test('the last line is one command: what the first fix says to run, else the same question with -v', () => {
    expect(lastLine(renderText(stories['dropped'] ?? hostileTrace, plain))).toBe(
      'Next: kubectl delete pod -n foo sleep-56df5b9cc9-w667b',
    );
    expect(lastLine(renderText(stories['fork'] ?? hostileTrace, plain))).toBe(
      'Next: meshpath trace foo/sleep httpbin.bar:8000 -v',
    );
  });
});

test('labels and policies ask for another way only where they tell one', () => {
  const story = stories['dropped'];
  if (story === undefined) throw new Error('no story of that name');
  const [first] = story.paths;
  if (first === undefined) throw new Error('a story has a path');
  const expecting = (paths: typeof story.paths): string => renderText({ ...story, expected: { paths } }, plain);
  const started = { ...first, verdict: 'unknown' as const, stops: first.stops.slice(0, 1), links: [], hops: [] };
  expect(expecting([started])).not.toContain('another way');
  const elsewhere = {
    ...started,
    stops: [...started.stops, { role: 'sidecar' as const, namespace: 'x', name: 'y', node: 'z' }],
  };
  expect(expecting([elsewhere])).toContain('another way:\n  foo/sleep');
  expect(expecting([elsewhere])).toContain('sidecar x/y');
});

function lastLine(text: string): string | undefined {
  return text.trimEnd().split('\n').at(-1);
}

describe('json and yaml', () => {
  test.each(Object.entries(stories))('%s is the same object in both', (_name, story) => {
    const json: unknown = JSON.parse(renderJson(story));
    expect(json).toEqual(JSON.parse(JSON.stringify(story)));
    expect(parse(renderYaml(story))).toEqual(json);
  });

  test('fields stand in the order of the contract', () => {
    const { kind, apiVersion, ...rest } = stories['fork'] ?? hostileTrace;
    const shuffled = renderJson({ ...rest, kind, apiVersion });
    expect(shuffled).toBe(renderJson(stories['fork'] ?? hostileTrace));
    const fields: object = JSON.parse(shuffled);
    expect(Object.keys(fields).slice(0, 6)).toEqual([
      'apiVersion',
      'kind',
      'source',
      'destination',
      'request',
      'paths',
    ]);
  });

  test('nothing in them can steer a terminal', () => {
    for (const text of [renderJson(hostileTrace), renderYaml(hostileTrace)]) {
      expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069]/);
    }
  });
});

describe('mermaid', () => {
  test.each(Object.entries(stories))('%s', async (name, story) => {
    await expect(renderMermaid(story)).toMatchFileSnapshot(`goldens/${name}.mmd`);
  });

  test('what stands in a label cannot end it, open a comment or a directive, or be taken for HTML or a keyword', () => {
    const escaped = escapeMermaid('a;b#c %%{init: 1} <b> end "x" $$ -->> \n');
    expect(escaped.replace(/#\d+;/g, '')).not.toMatch(/[;#%{}<>"$\n]|\bend\b/);
    expect(escapeMermaid('bar-1/httpbin, port 80 (mTLS)')).toBe('bar-1/httpbin, port 80 (mTLS)');
  });

  test('every line is one of the statements that are meant', () => {
    for (const story of Object.values(stories)) {
      for (const line of renderMermaid(story).trimEnd().split('\n').slice(2)) {
        expect(line.trim()).toMatch(
          /^((actor|participant) p\d+ as [^;]*|p\d+(->>|-->>|-x)p\d+: |Note over p\d+: |alt |else |end$)/,
        );
      }
    }
  });
});
