import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { parsePlainYaml } from '../../src/collect/plain-yaml.js';

const WRITTEN_BY_KUBECTL = `apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg==
    server: https://127.0.0.1:6443
  name: kind-demo
contexts:
- context:
    cluster: kind-demo
    namespace: "0123"
    user: kind-demo
  name: kind-demo
current-context: kind-demo
kind: Config
preferences: {}
users:
- name: kind-demo
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1beta1
      args:
      - --region
      - eu-central-1
      command: aws
      env:
      - name: AWS_PROFILE
        value: 'a b'
      interactiveMode: IfAvailable
      provideClusterInfo: false
`;

describe('a kubeconfig as the tools write it', () => {
  it('is read as the YAML library reads it', () => {
    expect(parsePlainYaml(WRITTEN_BY_KUBECTL)).toEqual({ value: parse(WRITTEN_BY_KUBECTL) });
  });

  it.each([
    ['a flow mapping', 'a: {b: c}'],
    ['an anchor', 'a: &x b\nc: *x'],
    ['a block scalar', 'a: |\n  text\n'],
    ['a comment behind a value', 'a: b # c'],
    ['a plain scalar of two lines', 'a: b\n  c'],
    ['a key twice', 'a: b\na: c'],
    ['a tab', 'a:\n\tb: c'],
    ['a number', 'a: 12'],
    ['an escape', 'a: "\\n"'],
    ['a switch of old', 'a: Yes'],
    ['two documents', 'a: b\n---\nc: d'],
    ['carriage returns', 'a: b\r\nc: d\r\n'],
  ])('%s is for the library', (_, text) => expect(parsePlainYaml(text)).toBeNull());

  it('whatever it reads, it reads as the library does', () => {
    const words = ['a', 'bc', '-', '- ', ': ', ':', ' ', '  ', '    ', '\n', '\n', '\n', "'x'", '"y"', '{}', '[]', '#'];
    const odd = ['true', 'null', '~', '1e3', '--x', 'https://h:1/p', '&', '*', '|', '\t', '---', '...', 'No', '='];
    const soup = fc.array(fc.constantFrom(...words, ...odd), { maxLength: 25 }).map((parts) => parts.join(''));
    const line = fc
      .tuple(fc.constantFrom('', '  ', '    ', '- ', '  - ', '-   '), fc.constantFrom('a', 'b', 'c', 'a-b', 'true'))
      .chain(([head, key]) =>
        fc.constantFrom(':', ': x', ": 'x y'", ': {}', ': true', '').map((tail) => `${head}${key}${tail}`),
      );
    const block = fc.array(line, { maxLength: 8 }).map((lines) => lines.join('\n'));
    fc.assert(
      fc.property(fc.oneof(soup, block), (text) => {
        const read = parsePlainYaml(text);
        if (read !== null) expect(read.value).toEqual(parse(text));
      }),
      { numRuns: 5000 },
    );
  });
});
