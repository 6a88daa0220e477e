import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { parseBlockYaml } from '../../src/formats/yaml-block.js';

function valueOf(text: string): unknown {
  const result = parseBlockYaml(text);
  if ('message' in result) throw new Error(`line ${result.line}: ${result.message}\n${text}`);
  // objects without prototype, as plain ones
  return structuredClone(result.value);
}

const DOCUMENTS: Readonly<Record<string, string>> = {
  'the mesh configuration of a chart': `defaultConfig:
  discoveryAddress: istiod.istio-system.svc:15012
  proxyMetadata:
    ISTIO_META_ENABLE_HBONE: "true"
  tracing:
    zipkin:
      address: zipkin.istio-system:9411
defaultProviders:
  metrics:
  - prometheus
enablePrometheusMerge: true
extensionProviders:
- name: prometheus
  prometheus: {}
rootNamespace: istio-system
trustDomain: cluster.local`,
  'selectors with sequences under a sequence': `- podSelector:
    matchLabels:
      istio.io/dataplane-mode: ambient
- namespaceSelector:
    matchLabels:
      istio.io/dataplane-mode: ambient
  podSelector:
    matchExpressions:
    - key: istio.io/dataplane-mode
      operator: NotIn
      values:
      - none`,
  comments: '# before\na: 1 # after\n\n  # between\nb: "x # no" # yes\nc: a#b\n',
  'document start': '---\na: b\n',
  'flow collections over lines': 'a: {b: [1, two, "three"], c: {}, d: []}\ne: [\n  x, # one\n  y\n  ]\n',
  'quoted keys and values': `"a b": 'it''s'\n'c': "tab\\t \\u00e9 \\x41 \\"q\\""\n`,
  'a literal block': 'a: |\n  one\n    two\n\n  three\nb: 1\n',
  'a stripped block': 'a: |-\n  one\n  two\nb: 1\n',
  'a kept block': 'a: |+\n  one\n\n\nb: 1\n',
  'a folded block': 'a: >\n  one\n  two\n\n  three\n   more\n  four\nb: 1\n',
  'a folded plain scalar': 'a: one\n  two\n  three\nb: x\n',
  'a folded quoted scalar': 'a: "one\n  two\n\n  three \\\n  four"\n',
  'numbers and words': 'a: 1\nb: -2.5e3\nc: 0x1f\nd: 1.2.3\ne: true\nf: null\ng: ~\nh:\ni: yes\nj: .5\n',
  'a list in a list': '- - a\n  - b\n- c\n-\n  d: 1\n- e: 2\n  f: 3\n-\n',
  'colons in values': 'a: http://x:80/y\nb: istiod.istio-system.svc:15012\nc: "a: b"\n',
  'Windows line ends': 'a: 1\r\nb:\r\n  c: d\r\n',
  'a block scalar in a list': '- |\n  one\n  two\n- b\n',
  scalar: 'just words',
  empty: '',
};

describe('block YAML', () => {
  for (const [name, text] of Object.entries(DOCUMENTS)) {
    it(`reads ${name} as the yaml library does`, () => {
      expect(valueOf(text)).toEqual(structuredClone(parse(text) as unknown));
    });
  }

  const scalar = fc.oneof(
    fc.string({ maxLength: 30 }),
    fc.string({ unit: fc.constantFrom(...'ab :#-\'"{}[],&*!|>%@`~\n\t\\0.'), maxLength: 12 }),
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.lorem({ maxCount: 30 }),
  );
  const document = fc.letrec((tie) => ({
    node: fc.oneof(
      { maxDepth: 4, depthSize: 'small' },
      scalar,
      fc.array(tie('node'), { maxLength: 4 }),
      fc.dictionary(fc.string({ minLength: 1, maxLength: 8 }), tie('node'), { maxKeys: 4 }),
    ),
  })).node;

  it('reads whatever the yaml library writes', () => {
    fc.assert(
      fc.property(document, fc.constantFrom(2, 4), fc.boolean(), (value, indent, indentSeq) => {
        const text = stringify({ root: value }, { indent, indentSeq });
        fc.pre(!/^(\? |.*: ?&|.*- &)/m.test(text) && !text.includes('<<'));
        expect(valueOf(text)).toEqual(structuredClone(parse(text) as unknown));
      }),
      { numRuns: 500, seed: 1 },
    );
  });

  it('never takes a text for another value than the yaml library does', () => {
    const line = fc.string({ unit: fc.constantFrom(...'ab: -#"\'{}[],|>\n  '), maxLength: 40 });
    fc.assert(
      fc.property(line, (text) => {
        const ours = parseBlockYaml(text);
        if ('message' in ours) return;
        let theirs: unknown;
        try {
          theirs = parse(text, { logLevel: 'silent' });
        } catch {
          // more lenient than the library with texts that no marshaller writes
          return;
        }
        expect(structuredClone(ours.value)).toEqual(structuredClone(theirs));
      }),
      { numRuns: 2000, seed: 1 },
    );
  });

  const REFUSED: Readonly<Record<string, readonly [text: string, line: number]>> = {
    anchors: ['a: &x 1\nb: 2', 1],
    aliases: ['a: 1\nb: *x', 2],
    tags: ['a: !!str 1', 1],
    'two documents': ['a: 1\n---\nb: 2', 2],
    'a key that stands twice': ['a: 1\na: 2', 2],
    'tabs as indentation': ['a:\n\tb: 1', 2],
    'an open quote': ['a: "x\nb: 1', 2],
    'a mapping after a scalar': ['a: b: c', 1],
    'a lesser indentation': ['  a: 1\n b: 2', 2],
  };
  for (const [name, [text, line]] of Object.entries(REFUSED)) {
    it(`refuses ${name}, with its line`, () => {
      expect(parseBlockYaml(text)).toMatchObject({ line, message: expect.any(String) as string });
    });
  }
});
