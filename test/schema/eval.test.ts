import { describe, expect, test } from 'vitest';
import { errorsOf, validatorOf, type SchemaName } from './validate.js';

const decidedBy = { file: 'iptables-save.txt', line: 31, text: '-A ISTIO_PRERT -j REDIRECT' };

/** The examples of the contract of `eval`. */
const examples: Readonly<Record<Exclude<SchemaName, 'trace'>, object>> = {
  'eval-netns': {
    probability: 1,
    verdict: 'delivered',
    src: '10.244.1.9:40000',
    dst: '10.244.1.5:15006',
    oif: null,
    mark: '0x0',
    connmark: '0x0',
    socket: '0.0.0.0:15006',
    decidedBy,
  },
  'eval-ztunnel': {
    probability: 0.5,
    action: 'forward',
    protocol: 'hbone',
    to: '10.244.2.7:15008',
    target: '10.244.2.7:80',
    waypoint: null,
    workload: 'Kubernetes//Pod/bar/httpbin-1',
    identity: 'spiffe://cluster.local/ns/bar/sa/httpbin',
    decidedBy: { file: 'config_dump.json', pointer: '/workloads/3', text: 'httpbin-1' },
  },
  'eval-envoy': {
    probability: 1,
    action: 'forward',
    listener: '0.0.0.0_8000',
    filterChain: null,
    route: 'httpbin.bar.svc.cluster.local:8000/default',
    cluster: 'outbound|8000||httpbin.bar.svc.cluster.local',
    endpoint: '10.244.2.7:80',
    to: '10.244.2.7:80',
    tls: 'mtls',
    hbone: null,
    decidedBy: null,
  },
};

const names: readonly Exclude<SchemaName, 'trace'>[] = ['eval-netns', 'eval-ztunnel', 'eval-envoy'];

describe.each(names)('%s.schema.json', (name) => {
  const validate = validatorOf(name, 'refused');

  test('takes the answer of the contract, an empty one and an error', () => {
    expect(errorsOf(validate, { id: '1', outcomes: [examples[name]] })).toEqual([]);
    expect(errorsOf(validate, { id: '1', outcomes: [] })).toEqual([]);
    expect(errorsOf(validate, { id: null, error: 'not JSON' })).toEqual([]);
  });

  test('refuses an answer without outcomes, and an outcome without its verdict', () => {
    expect(errorsOf(validate, { id: '1' })).not.toEqual([]);
    expect(errorsOf(validate, { id: '1', outcomes: [{ probability: 1, decidedBy: null }] })).not.toEqual([]);
  });
});
