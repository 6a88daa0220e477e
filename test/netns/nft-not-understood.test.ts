import { describe, expect, it } from 'vitest';
import type { NetnsOutcome } from '../../src/netns/face.js';
import { nftChain } from './netns-files.js';
import { ask } from './one-device.js';
import { verdicts } from './packets.js';

/**
 * What no tool prints, or a newer one may: an expression or a value that the engine does not know. A match forks, a statement
 * ends as unknown; never is it left out, and never does it throw.
 */
const FORKS = ['delivered', 'dropped'];

function nft(...expr: readonly object[]): readonly NetnsOutcome[] {
  return ask(nftChain('ip', 'input', expr));
}
const match = (left: unknown, right: unknown, op: unknown = '=='): object => ({ match: { op, left, right } });
const meta = (key: string): unknown => ({ meta: { key } });
const port = { payload: { protocol: 'tcp', field: 'dport' } };
const saddr = { payload: { protocol: 'ip', field: 'saddr' } };

describe('expressions of nft', () => {
  it.each([
    match(meta('odd'), 1),
    match({ payload: { protocol: 'odd', field: 'dport' } }, 1),
    match({ payload: { protocol: 'tcp', field: 'odd' } }, 1),
    match({ payload: { protocol: 'ip', field: 'odd' } }, 1),
    match({ payload: { protocol: 'th', field: 'odd' } }, 1),
    match({ ct: { key: 'odd' } }, 1),
    match({ ct: { key: 'odd', dir: 'original' } }, 1),
    match({ fib: { result: 'odd', flags: ['saddr'] } }, 1),
    match({ odd: 1 }, 1),
    match(port, 'odd'),
    match(port, { odd: 1 }),
    match(port, { range: ['odd', 90] }),
    match(port, { range: [70, 'odd'] }),
    match(port, { set: ['odd'] }),
    match(port, '@nobody'),
    match(port, 80, 'odd'),
    match(port, 80, 7),
    match(port, 'odd', '<'),
    match(port, 'odd', 'in'),
    match(saddr, { prefix: { addr: 'odd', len: 8 } }),
    match(saddr, { prefix: { addr: '10.0.0.0', len: 'odd' } }),
    match(port, { prefix: { addr: 'odd', len: 8 } }),
    match({ concat: [port, { odd: 1 }] }, { concat: [80, 1] }),
    match({ concat: [port, meta('skuid')] }, { concat: [80, 1] }),
    match({ concat: [port, saddr] }, 80),
    match({ concat: [port, saddr] }, 80, '<'),
    match({ concat: [port, saddr] }, 80, 'in'),
    match({ '&': [{ odd: 1 }, 1] }, 0),
    match({ '&': [port, { odd: 1 }] }, 0),
    match({ '&': [{ concat: [port, saddr] }, 1] }, 0),
    match({ '&': [meta('skuid'), 1] }, 0),
    match({ map: { key: { odd: 1 }, data: { set: [[80, 1]] } } }, 1),
    match({ map: { key: port, data: { odd: 1 } } }, 1),
    match({ map: { key: port, data: '@nobody' } }, 1),
    match({ socket: { key: 'odd' } }, 1),
    match({ numgen: { mode: 'odd', mod: 2, offset: 0 } }, 1),
  ])('%j', (one) => {
    expect(verdicts(nft(one, { drop: null }))).toEqual(FORKS);
  });
});

describe('statements of nft', () => {
  it.each([
    { odd: 1 },
    { mangle: { key: meta('mark'), value: { odd: 1 } } },
    { mangle: { key: meta('mark'), value: meta('skuid') } },
    { mangle: { key: { odd: 1 }, value: 1 } },
    { mangle: { key: { ct: { key: 'odd' } }, value: 1 } },
    { vmap: { key: { odd: 1 }, data: { set: [[80, { drop: null }]] } } },
    { vmap: { key: meta('skuid'), data: { set: [[80, { drop: null }]] } } },
    { vmap: { key: port, data: '@nobody' } },
    { dnat: { addr: 'odd' } },
    { dnat: { addr: '10.0.0.1', port: 'odd' } },
    { dnat: { addr: { range: ['odd', '10.0.0.9'] } } },
    { dnat: { addr: { range: ['10.0.0.1', 'odd'] } } },
    { dnat: { addr: meta('skuid') } },
    { dnat: { addr: '10.0.0.1', port: meta('skuid') } },
    { dnat: { addr: '10.0.0.1', port: { range: ['odd', 80] } } },
    { dnat: { addr: '10.0.0.1', port: { range: [80, 'odd'] } } },
    { redirect: { port: 'odd' } },
    { masquerade: { port: 'odd' } },
    { dnat: { addr: { map: { key: { odd: 1 }, data: { set: [[80, '10.0.0.1']] } } } } },
    { dnat: { addr: { map: { key: meta('skuid'), data: { set: [[0, { range: ['10.0.0.1', '10.0.0.2'] }]] } } } } },
    { dnat: { addr: { map: { key: port, data: { odd: 1 } } } } },
    { dnat: { addr: { map: { key: port, data: { set: [[80, { range: ['odd', '10.0.0.9'] }]] } } } } },
    { dnat: { addr: { map: { key: port, data: { set: [[80, { concat: ['10.0.0.1', 'odd'] }]] } } } } },
    { dnat: { addr: { map: { key: port, data: { set: [[80, { concat: ['10.0.0.1', { range: [80, 'odd'] }] }]] } } } } },
    { dnat: { addr: { map: { key: port, data: { set: [[80, { concat: ['odd', 80] }]] } } } } },
    ...['saddr', 'daddr'].map((field) => ({
      mangle: { key: { payload: { protocol: 'ip', field } }, value: '10.0.0.1' },
    })),
    ...['sport', 'dport'].map((field) => ({ mangle: { key: { payload: { protocol: 'tcp', field } }, value: 80 } })),
    { mangle: { key: { payload: { base: 'nh', offset: 128, len: 32 } }, value: 80 } },
    { tproxy: { port: 'odd' } },
    { tproxy: { addr: 'odd', port: 80 } },
    { jump: {} },
    { goto: {} },
  ])('%j', (one) => {
    expect(verdicts(nft(one, { drop: null }))).toEqual(['unknown']);
  });

  const ct = (key: string, value: unknown = 1): object => ({ mangle: { key: { ct: { key } }, value } });
  const map = (...elements: readonly unknown[]): unknown => ({ map: { key: port, data: { set: elements } } });
  it.each([
    ct('event'),
    ct('label'),
    ct('secmark'),
    ct('label', map([80, 1])),
    ct('label', meta('skuid')),
    { mangle: { key: meta('priority'), value: map([80, 1]) } },
    { mangle: { key: { payload: { protocol: 'ip', field: 'ttl' } }, value: 5 } },
    { mangle: { key: { 'tcp option': { name: 'maxseg', field: 'size' } }, value: 1000 } },
  ])('%j decides nothing', (one) => {
    expect(verdicts(nft(one, { drop: null }))).toEqual(['dropped']);
  });

  it.each([
    ct('label', map([81, 1])),
    { mangle: { key: meta('priority'), value: map([81, 1]) } },
    { mangle: { key: { payload: { protocol: 'udp', field: 'dport' } }, value: 80 } },
    { mangle: { key: { payload: { protocol: 'udp', field: 'length' } }, value: 80 } },
  ])('%j breaks off: the packet has no such key or header', (one) => {
    expect(verdicts(nft(one, { drop: null }))).toEqual(['delivered']);
  });

  it.each([
    ct('label', { map: { key: { odd: 1 }, data: { set: [[80, 1]] } } }),
    ct('label', { map: { key: port, data: { odd: 1 } } }),
    ct('label', map(['odd', 1])),
  ])('%j may break off', (one) => {
    expect(verdicts(nft(one, { drop: null }))).toEqual(FORKS);
  });
});
