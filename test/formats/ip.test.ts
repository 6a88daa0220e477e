import fc from 'fast-check';
import { isIP } from 'node:net';
import { describe, expect, it } from 'vitest';
import {
  canonicalIp,
  cidrContains,
  formatIp,
  joinHostPort,
  parseCidr,
  parseIp,
  splitHostPort,
  unmapIp,
} from '../../src/formats/ip.js';

describe('addresses', () => {
  it.each([
    ['10.0.0.1', '10.0.0.1'],
    ['255.255.255.255', '255.255.255.255'],
    ['fd00:0:0::1', 'fd00::1'],
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['::ffff:10.0.0.1', '::ffff:10.0.0.1'],
    ['::10.0.0.1', '::a00:1'],
    ['fe80::1%eth0', 'fe80::1'],
  ])('%s is %s', (text, canonical) => expect(canonicalIp(text)).toBe(canonical));

  it.each([
    '010.0.0.1',
    '1.2',
    '256.0.0.1',
    '1.2.3.4.5',
    '',
    ':',
    ':::',
    '1::2::3',
    '12345::',
    'g::',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
  ])('%s is no address', (text) => expect(parseIp(text)).toBeNull());

  it('agrees with node on what is an address, and round-trips', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
        const ip = parseIp(text);
        expect(ip?.family).toBe(isIP(text));
        if (ip !== null) expect(parseIp(formatIp(ip))).toEqual(ip);
      }),
    );
  });

  it('unmaps v4 in v6 only', () => {
    expect(formatIp(unmapIp(parseIp('::ffff:10.1.2.3')!))).toBe('10.1.2.3');
    expect(formatIp(unmapIp(parseIp('fd00::3')!))).toBe('fd00::3');
  });
});

describe('prefixes', () => {
  it.each([
    ['10.0.0.0/8', '10.255.0.1', true],
    ['10.0.0.0/8', '11.0.0.1', false],
    ['0.0.0.0/0', '255.0.0.1', true],
    ['128.0.0.0/1', '255.0.0.1', true],
    ['10.0.0.0/255.255.0.0', '10.0.9.9', true],
    ['fd00::/64', 'fd00::9', true],
    ['fd00::/64', 'fd00:0:0:1::9', false],
    ['::/0', 'fd00::9', true],
    ['::/0', '10.0.0.1', false],
  ])('%s contains %s: %s', (cidr, ip, expected) => expect(cidrContains(parseCidr(cidr)!, parseIp(ip)!)).toBe(expected));

  it.each(['10.0.0.0/33', '10.0.0.0/255.0.255.0', 'fd00::/129', '10.0.0.0/', '/8'])('%s is no prefix', (text) =>
    expect(parseCidr(text)).toBeNull(),
  );
});

describe('host and port', () => {
  it.each(['10.0.0.1:80', '[fd00::1]:15008', 'httpbin.bar:8000'])('%s splits and joins', (text) => {
    const parts = splitHostPort(text)!;
    expect(joinHostPort(parts.host, parts.port)).toBe(text);
  });
  it.each(['fd00::1:80', '10.0.0.1', '10.0.0.1:99999', ':x'])('%s has no port', (text) =>
    expect(splitHostPort(text)).toBeNull(),
  );
});
