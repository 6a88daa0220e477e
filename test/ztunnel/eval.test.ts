import { expect, test } from 'vitest';
import { answerQuestion } from '../../src/ztunnel/eval.js';
import { meshOf, policy, service, workload } from './dumps.js';
import { errorsOf, validatorOf } from '../schema/validate.js';

const ztunnel = meshOf({
  workloads: [workload('client', '10.0.0.1'), workload('server', '10.0.0.2')],
  services: [service('web', '10.96.0.1', ['server'])],
  policies: [policy('p', 'Deny', [[[{ namespaces: [{ Exact: 'bad' }] }]]])],
});
const validate = validatorOf('eval-ztunnel', 'allowed');

test.each([
  { id: '1', direction: 'outbound', src: '10.0.0.1', dst: '10.96.0.1:80' },
  { id: '2', direction: 'outbound', src: '10.0.0.1', dst: '10.96.0.1:81' },
  { id: '3', direction: 'outbound', src: '10.0.0.99', dst: '10.96.0.1:81' },
  {
    id: '4',
    direction: 'inbound',
    src: '10.0.0.1',
    dst: '10.0.0.2:80',
    identity: 'spiffe://cluster.local/ns/bad/sa/x',
  },
  { id: '5', direction: 'inbound-plaintext', src: '10.0.0.1', dst: '10.0.0.2:80' },
])('the answer to $id fits the published schema', (question) => {
  const { text, malformed } = answerQuestion(ztunnel, JSON.stringify(question));
  expect(malformed).toBe(false);
  expect(errorsOf(validate, JSON.parse(text))).toEqual([]);
});

test.each([
  ['not json', null],
  ['[]', null],
  ['{"id":"a"}', 'a'],
  ['{"id":"a","direction":"outbound","src":"x","dst":"10.0.0.2:80"}', 'a'],
  ['{"id":"a","direction":"outbound","src":"10.0.0.1","dst":"10.0.0.2"}', 'a'],
  ['{"id":"a","direction":"inbound","src":"10.0.0.1","dst":"10.0.0.2:80"}', 'a'],
  ['{"id":"a","direction":"outbound","src":"010.0.0.1","dst":"10.0.0.2:80"}', 'a'],
])('malformed: %s', (line, id) => {
  const { text, malformed } = answerQuestion(ztunnel, line);
  expect(malformed).toBe(true);
  expect(JSON.parse(text)).toEqual({ id, error: expect.any(String) });
});

test('what can not be answered is unknown with its reason', () => {
  const { text } = answerQuestion(ztunnel, '{"id":"a","direction":"outbound","src":"10.0.0.99","dst":"10.0.0.2:80"}');
  expect(text).toContain('"action":"unknown","reason":"which pod of this ztunnel has the address 10.0.0.99');
});
