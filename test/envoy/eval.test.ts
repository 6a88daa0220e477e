import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { answerQuestion } from '../../src/envoy/eval.js';
import { loadEnvoy } from '../../src/envoy/load.js';

const file = new URL('fixtures/vectors/000.json.gz', import.meta.url);
const vector = JSON.parse(gunzipSync(readFileSync(file)).toString('utf8')) as { dump: object; requests: object[] };
const envoy = loadEnvoy('dump.json', JSON.stringify(vector.dump), null);

const question = {
  id: 'a',
  listener: '0.0.0.0:15001',
  src: '10.244.1.5:40000',
  dst: '10.96.0.9:9999',
  tls: null,
  http: null,
};

function ask(value: unknown): { readonly id: unknown; readonly error?: string; readonly outcomes?: readonly object[] } {
  const { text } = answerQuestion(envoy, typeof value === 'string' ? value : JSON.stringify(value));
  return JSON.parse(text) as ReturnType<typeof ask>;
}

describe('eval envoy', () => {
  it('answers with the fields of the contract', () => {
    const { id, outcomes } = ask(question);
    expect(id).toBe('a');
    expect(outcomes).toHaveLength(1);
    expect(outcomes?.[0]).toMatchObject({
      probability: 1,
      action: 'forward',
      listener: 'virtualOutbound',
      route: null,
      cluster: 'PassthroughCluster',
      endpoint: '10.96.0.9:9999',
      to: '10.96.0.9:9999',
      tls: 'none',
      hbone: null,
    });
    expect(outcomes?.[0]).toHaveProperty('decidedBy.file', 'dump.json');
    expect(outcomes?.[0]).toHaveProperty('decidedBy.pointer');
  });

  it('takes absent tls and http for plain TCP', () => {
    const { id, listener, src, dst } = question;
    expect(ask({ id, listener, src, dst }).outcomes).toEqual(ask(question).outcomes);
  });

  it.each([
    ['{', null, 'not JSON'],
    ['[]', null, 'object'],
    ['{"listener":"0.0.0.0:15001"}', null, '"id"'],
    [{ ...question, id: 7, dst: 'nowhere' }, 7, '"dst"'],
    [{ ...question, dst: '010.0.0.1:80' }, 'a', '"dst"'],
    [{ ...question, src: null }, 'a', '"src"'],
    [{ ...question, tls: { alpn: 'h2' } }, 'a', '"tls.alpn"'],
    [{ ...question, tls: [] }, 'a', '"tls"'],
    [{ ...question, http: { method: 'GET', authority: 'x' } }, 'a', '"http.path"'],
    [{ ...question, http: { method: 'GET', authority: 'x', path: '/', headers: { a: 1 } } }, 'a', 'header "a"'],
  ])('says what is wrong with %j', (value, id, message) => {
    const answer = ask(value);
    expect(answer.id).toBe(id);
    expect(answer.error).toContain(message);
    expect(answer).not.toHaveProperty('outcomes');
  });

  it.each(['', 'null', '{}', '{"configs":7}', '{"configs":[]}', '{"configs":[{"@type":"x"}]}', '[1,2'])(
    'answers unknown from the dump %j',
    (text) => {
      const empty = loadEnvoy('dump.json', text, { file: 'clusters.json', text: 'nothing' });
      expect(empty.problems.length).toBeGreaterThan(0);
      const { text: line } = answerQuestion(empty, JSON.stringify(question));
      const answer = JSON.parse(line) as { outcomes: { action: string; reason: string }[] };
      expect(answer.outcomes.map((outcome) => outcome.action)).toEqual(['unknown']);
      expect(answer.outcomes[0]?.reason).toBeTruthy();
    },
  );
});
