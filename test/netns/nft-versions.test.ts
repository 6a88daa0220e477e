import { describe, expect, it } from 'vitest';
import type { Packet } from '../../src/netns/face.js';
import { change, DROP, field, listed, match, SADDR, set, type Json } from './nft-rules.js';
import { verdicts } from './packets.js';
import { ask } from './two-devices.js';

/** What older nft leaves out of its list in JSON, or prints wrongly (seen with the nft of Debian 11 to 13, Ubuntu 22.04 to 25.04). */
const BOTH = ['delivered', 'dropped'];

describe('a limit of the element that a rule adds', () => {
  const ends = (version: string | null, statement: Json): readonly string[] =>
    verdicts(ask(listed([[statement, DROP]], { version, objects: [set('s')] })));

  it.each(['0.9.8', '1.0.2', '1.0.5'])('is left out by nft %s: it may be there', (version) => {
    expect(ends(version, change('update', 's', SADDR))).toEqual(BOTH);
    expect(ends(version, change('delete', 's', SADDR))).toEqual(['dropped']);
    expect(ends(version, change('update', 's', SADDR, { stmt: [{ counter: null }] }))).toEqual(['dropped']);
  });

  it.each(['1.0.6', '1.0.9', '1.1', '1.1.3-1ubuntu1', '2.0.0', null, 'odd'])('is printed by nft %s', (version) => {
    expect(ends(version, change('update', 's', SADDR))).toEqual(['dropped']);
  });
});

describe('prefixes of IPv6 in concatenations', () => {
  const six: Partial<Packet> = { src: { ip: 'fd00::9', port: 40000 }, dst: { ip: 'fd00::5', port: 80 } };
  const ends = (version: string, addr: Json, over: Partial<Packet> = six): readonly string[] => {
    const left = { concat: [field('ip6', 'saddr'), field('tcp', 'dport')] };
    const right = { set: [{ concat: [addr, { range: [80, 9000] }] }] };
    return verdicts(ask(listed([[match(left, right), DROP]], { version }), over));
  };

  it('are printed wrongly by nft 0.9.8', () => {
    const prefix = { prefix: { addr: 'fd00::', len: 64 } };
    expect(ends('0.9.8', prefix)).toEqual(['dropped', 'refused']);
    expect(ends('1.0.2', prefix)).toEqual(['dropped']);
    expect(ends('0.9.8', 'fd00::9')).toEqual(['dropped']);
    expect(ends('1.0.2', 'fd00::8')).toEqual(['refused']);
    const alone = match(field('ip6', 'saddr'), { set: [prefix, 'fd01::1'] });
    expect(verdicts(ask(listed([[alone, DROP]], { version: '0.9.8' }), six))).toEqual(['dropped']);
    const four = { concat: [SADDR, field('tcp', 'dport')] };
    const ten = { set: [{ concat: [{ prefix: { addr: '10.0.0.0', len: 8 } }, 80] }] };
    expect(verdicts(ask(listed([[match(four, ten), DROP]], { version: '0.9.8' })))).toEqual(['dropped']);
  });
});

describe('a range of addresses that stands as a prefix', () => {
  const ends = (addr: string, len: number): readonly string[] => {
    const dnat = { dnat: { family: 'ip', addr: { prefix: { addr, len } } } };
    return ask(listed([[dnat]], { type: 'nat' })).map(({ verdict, dst }) => `${verdict} ${dst.ip}`);
  };

  it('is none where it begins inside: nft 0.9.8 prints 10.9.0.1-10.9.0.2 so', () => {
    expect(ends('10.9.0.1', 30)).toEqual(['unknown 10.0.0.5']);
    expect(ends('10.9.0.0', 31)).toEqual(['forwarded 10.9.0.0', 'forwarded 10.9.0.1']);
    expect(ends('10.9.0.1', 32)).toEqual(['forwarded 10.9.0.1']);
  });
});
