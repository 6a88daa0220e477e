import { describe, expect, it } from 'vitest';
import type { NetnsOutcome, Packet } from '../../src/netns/face.js';
import { type Json, listed, field, vmap, mark, DROP, SADDR, ways } from './nft-rules.js';
import { verdicts } from './packets.js';
import { FILES, OUT, ask } from './two-devices.js';

/** Numbers that are drawn, and headers that are hashed: no answer of the kernel is the same twice. */

describe('numbers that are drawn', () => {
  const gen = (mode: string, mod: number, offset = 0): Json => ({ numgen: { mode, mod, offset } });
  const hash = (expr: Json, mod: number): Json => ({ jhash: { mod, expr } });
  const draw = (key: Json, ...elements: readonly Json[]): readonly NetnsOutcome[] =>
    ask(listed([[vmap(key, ...elements)]]));
  const part = (from: number, to: number): Json => ({ range: [from, to] });

  const drawn = (key: Json, ...elements: readonly Json[]): readonly NetnsOutcome[] =>
    ask(listed([[mark({ map: { key, data: { set: elements } } })]]));

  it('what is treated alike is followed together', () => {
    expect(ways(drawn(gen('inc', 100, 10), [part(10, 20), 1], [part(30, 43), 2], [part(55, 57), 2], [65, 3]))).toEqual([
      [0, 0.71],
      [1, 0.11],
      [2, 0.17],
      [3, 0.01],
    ]);
    expect(ways(drawn(gen('random', 100), [part(0, 99), 1]))).toEqual([[1, 1]]);
  });

  it('few are followed one by one, and too many not at all', () => {
    expect(ways(drawn(gen('inc', 2), [0, 1]))).toEqual([
      [0, 0.5],
      [1, 0.5],
    ]);
    expect(ways(drawn(gen('random', 64), [part(0, 15), 1]))).toEqual([
      [0, 0.75],
      [1, 0.25],
    ]);
    expect(verdicts(draw(gen('random', 65536), [part(0, 32767), DROP]))).toEqual(['delivered', 'dropped']);
    expect(verdicts(draw(gen('random', 65537), [part(0, 32767), DROP]))).toEqual(['unknown']);
  });

  it('a hash of what the packet has not breaks off', () => {
    expect(verdicts(draw(hash(field('udp', 'sport'), 100), [part(0, 99), DROP]))).toEqual(['delivered']);
    expect(verdicts(draw(hash(field('udp', 'sport'), 100), [part(0, 49), DROP]))).toEqual(['delivered']);
    expect(verdicts(draw(hash(field('tcp', 'sport'), 100), [part(0, 99), DROP]))).toEqual(['dropped']);
    expect(verdicts(draw({ symhash: { mod: 100 } }, [part(0, 49), DROP]))).toEqual(['delivered', 'dropped']);
  });

  const TCP: Partial<Packet> = {};
  const ACK: Partial<Packet> = { tcpFlags: ['ACK'] };
  const UDP: Partial<Packet> = { protocol: 'udp', dst: { ip: '10.0.0.5', port: 53 }, tcpFlags: [] };
  const SIX: Partial<Packet> = { src: { ip: 'fd00::9', port: 40000 }, dst: { ip: 'fd00::5', port: 80 } };
  it.each([
    ['tcp option', { 'tcp option': { name: 'maxseg', field: 'size' } }, [TCP, ACK, SIX]],
    ['sctp chunk', { 'sctp chunk': { name: 'data', field: 'tsn' } }, []],
    ['osf', { osf: { key: 'name' } }, [TCP, SIX]],
    ['exthdr', { exthdr: { name: 'frag', field: 'id' } }, []],
    ['ip option', { 'ip option': { name: 'ra', field: 'type' } }, [TCP, ACK, UDP]],
    ['gre', field('gre', 'version'), []],
    ['gretap', { payload: { tunnel: 'gretap', protocol: 'gretap', field: 'x' } }, []],
    ['esp', field('esp', 'spi'), []],
    ['comp', field('comp', 'cpi'), []],
    ['igmp', field('igmp', 'type'), []],
    ['sctp', field('sctp', 'sport'), []],
    ['udp', field('udp', 'length'), [UDP]],
    ['tcp', field('tcp', 'window'), [TCP, ACK, SIX]],
    ['icmp', field('icmp', 'id'), []],
    ['icmpv6', field('icmpv6', 'id'), []],
    ['ip', field('ip', 'ttl'), [TCP, ACK, UDP]],
    ['ip6', field('ip6', 'hoplimit'), [SIX]],
    ['ether', field('ether', 'saddr'), [TCP, ACK, UDP, SIX]],
    ['a part of a map', { map: { key: field('udp', 'dport'), data: { set: [[80, 1]] } } }, [UDP]],
    ['a list', { concat: [field('udp', 'dport'), SADDR] }, [UDP]],
  ] as const)('who has a header to be hashed: %s', (_name, expr, having) => {
    const files = { ...listed([[vmap(hash(expr, 1), [0, DROP])]]) };
    const dropped = [TCP, ACK, UDP, SIX].filter((over) => verdicts(ask(files, over))[0] === 'dropped');
    expect(dropped).toEqual(having);
  });

  it('frames have a header only on Ethernet', () => {
    const files = listed([[vmap(hash(field('ether', 'saddr'), 1), [0, DROP])]]);
    const addresses = JSON.parse(FILES['ip-address.json'] ?? '') as readonly { readonly ifname: string }[];
    const typed = (link_type: string): Readonly<Record<string, string>> => ({
      ...files,
      'ip-address.json': JSON.stringify(addresses.map((one) => (one.ifname === 'eth0' ? { ...one, link_type } : one))),
    });
    expect(verdicts(ask(typed('ether')))).toEqual(['dropped']);
    expect(verdicts(ask(typed('none')))).toEqual(['delivered']);
    expect(
      verdicts(ask(listed([[vmap(hash(field('ether', 'saddr'), 1), [0, DROP])]], { hook: 'output' }), OUT)),
    ).toEqual(['sent']);
  });
});
