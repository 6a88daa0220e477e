import { describe, expect, it } from 'vitest';
import type { Packet } from '../../src/netns/face.js';
import { ask } from './one-device.js';

/**
 * Types of sets that not every kernel was built with: what is expected here is read in linux net/netfilter/ipset/ (v6.12),
 * the function is named with each. All others are held against the kernel (test/kernel/cases/sets.ts).
 */

/** Whether the set holds the packet's addresses: true, false, or what would tell. */
function holds(
  type: string,
  members: readonly string[],
  dims: string,
  over: Partial<Packet> = {},
): boolean | readonly string[] {
  const files = {
    'ipset-save.txt': [`create s ${type}`, ...members.map((member) => `add s ${member}`), ''].join('\n'),
    'iptables-save.txt': `*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -m set --match-set s ${dims} -j DROP\nCOMMIT\n`,
  };
  const outcomes = ask(files, over);
  const [first] = outcomes;
  if (outcomes.length === 1 && first?.unknowns.length === 0) return first.verdict === 'dropped';
  return [...new Set(outcomes.flatMap(({ unknowns }) => unknowns.map(({ fact }) => fact)))];
}

describe('hash:net,net and hash:net,port,net', () => {
  it('the first net is tried from the longest prefix, then the second (mtype_test_cidrs)', () => {
    const members = ['10.0.0.0/24,10.0.0.0/8', '10.0.0.0/8,10.0.0.0/28 nomatch'];
    expect(holds('hash:net,net', members, 'src,dst')).toBe(true);
    expect(holds('hash:net,net', [...members].reverse(), 'src,dst')).toBe(true);
    expect(holds('hash:net,net', ['10.0.0.0/24,10.0.0.0/8 nomatch', '10.0.0.0/8,10.0.0.0/28'], 'src,dst')).toBe(false);
    const seconds = ['10.0.0.0/24,10.0.0.0/28 nomatch', '10.0.0.0/24,10.0.0.0/8'];
    expect(holds('hash:net,net', seconds, 'src,dst')).toBe(false);
    expect(holds('hash:net,net', [...seconds].reverse(), 'src,dst')).toBe(false);
  });

  it('both nets, and the port between them', () => {
    expect(holds('hash:net,net', ['10.0.0.0/24,10.1.0.0/16'], 'src,dst')).toBe(false);
    const members = ['10.0.0.0/8,tcp:80,0.0.0.0/0', '10.0.0.0/24,tcp:80,10.0.0.4/31 nomatch'];
    expect(holds('hash:net,port,net', members, 'src,dst,dst')).toBe(false);
    expect(holds('hash:net,port,net', members, 'src,dst,src')).toBe(true);
    expect(holds('hash:net,port,net', ['10.0.0.0/8,udp:80,0.0.0.0/0'], 'src,dst,dst')).toBe(false);
  });

  it('bitmask cuts both addresses (hash_netnet4_kadt)', () => {
    expect(holds('hash:net,net bitmask 255.255.0.255', ['10.0.0.9,10.0.0.5'], 'src,dst')).toBe(true);
    expect(holds('hash:net,net bitmask 255.255.255.0', ['10.0.0.9,10.0.0.5'], 'src,dst')).toBe(false);
  });
});

describe('hash:ip,mark', () => {
  it('compares the bits of markmask (hash_ipmark4_kadt)', () => {
    expect(holds('hash:ip,mark', ['10.0.0.9,0x00001200'], 'src,src', { mark: 0x1234 })).toBe(false);
    expect(holds('hash:ip,mark markmask 0xff00', ['10.0.0.9,0x00001200'], 'src,src', { mark: 0x1234 })).toBe(true);
    expect(holds('hash:ip,mark', ['10.0.0.9,0x00001234'], 'src,src', { mark: 0x1234 })).toBe(true);
  });
});

describe('sets of MAC addresses', () => {
  const fact = 'source MAC address of the packet on eth0';

  it('only the Ethernet header tells, and it is asked only where the rest fits', () => {
    expect(holds('hash:mac', ['00:11:22:33:44:55'], 'src')).toEqual([fact]);
    expect(holds('hash:mac', [], 'src')).toBe(false);
    expect(holds('hash:ip,mac', ['10.0.0.9,00:11:22:33:44:55'], 'src,src')).toEqual([fact]);
    expect(holds('hash:ip,mac', ['10.0.0.8,00:11:22:33:44:55'], 'src,src')).toBe(false);
    expect(holds('hash:ip,mac', ['10.0.0.5,00:11:22:33:44:55'], 'dst,dst')).toEqual([
      'destination MAC address of the packet on eth0',
    ]);
  });

  it('that of lo holds zeros, which no hash takes (is_zero_ether_addr in hash_mac4_kadt)', () => {
    expect(holds('hash:mac', ['00:11:22:33:44:55'], 'src', { iif: 'lo' })).toBe(false);
  });
});

describe('members written by hand', () => {
  it('a range holds its ends and nothing beside them', () => {
    for (const type of [
      'hash:ip',
      'hash:ip counters',
      'bitmap:ip range 10.0.0.0/24',
      'hash:ip bitmask 255.255.255.255',
    ]) {
      expect(holds(type, ['10.0.0.9-10.0.0.20'], 'src')).toBe(true);
      expect(holds(type, ['10.0.0.1-10.0.0.9'], 'src')).toBe(true);
      expect(holds(type, ['10.0.0.10-10.0.0.20'], 'src')).toBe(false);
      expect(holds(type, ['10.0.0.1-10.0.0.8'], 'src')).toBe(false);
    }
    expect(holds('hash:ip bitmask 255.255.255.0', ['10.0.0.0-10.0.0.3'], 'src')).toBe(true);
    expect(holds('hash:ip,port', ['10.0.0.1-10.0.0.20,tcp:80'], 'src,dst')).toBe(true);
    const high = { src: { ip: '203.0.113.9', port: 40000 } };
    expect(holds('hash:ip bitmask 255.255.255.0', ['203.0.113.0-203.0.113.3'], 'src', high)).toBe(true);
  });

  it('a port alone is that of any protocol, a range holds its ends', () => {
    for (const [port, fits] of [
      ['80', true],
      ['tcp:80-81', true],
      ['tcp:79-80', true],
      ['79-81', true],
      ['81-82', false],
      ['78-79', false],
    ] as const) {
      expect(holds('hash:ip,port', [`10.0.0.9,${port}`], 'src,dst')).toBe(fits);
    }
    expect(holds('hash:ip,port', ['10.0.0.9,sctp:80'], 'src,dst', { protocol: 'sctp' })).toBe(true);
    expect(holds('hash:ip,port', ['10.0.0.9,sctp:81'], 'src,dst', { protocol: 'sctp' })).toEqual(['SCTP sockets']);
    expect(holds('hash:ip,port', ['10.0.0.9,icmp:echo-request'], 'src,dst', { protocol: 'icmp' })).toBe(true);
    expect(holds('hash:ip,port', ['10.0.0.9,icmp:echo-reply'], 'src,dst', { protocol: 'icmp' })).toBe(false);
  });

  it('marks are written as ipset takes them, and have 32 bits', () => {
    const mark = 0xdead0000;
    expect(holds('hash:ip,mark', [`10.0.0.9,${mark}`], 'src,src', { mark })).toBe(true);
    expect(holds('hash:ip,mark', ['10.0.0.9,0xDEAD0000'], 'src,src', { mark })).toBe(true);
    expect(holds('hash:ip,mark markmask 0xffff0000', ['10.0.0.9,0xdead0000'], 'src,src', { mark: 0xdead1234 })).toBe(
      true,
    );
  });
});

describe('the MAC address of what has none', () => {
  it('a packet of this machine matches no set of MAC addresses (skb_mac_header_was_set)', () => {
    const out = { direction: 'out', iif: null, src: { ip: '10.0.0.5', port: 40000 } } as const;
    expect(holds('hash:mac', ['00:11:22:33:44:55'], 'src', out)).toBe(false);
  });

  it('bitmap:ip,mac takes any where none is written (bitmap_ipmac_do_test)', () => {
    expect(holds('bitmap:ip,mac range 10.0.0.0/24', ['10.0.0.9'], 'src,src')).toBe(true);
    expect(holds('bitmap:ip,mac range 10.0.0.0/24', ['10.0.0.8'], 'src,src')).toBe(false);
  });
});

describe('what is not understood', () => {
  it('a type, a mask or a member that is not known makes the set unknown', () => {
    expect(holds('hash:ip,colour', ['10.0.0.9,red'], 'src,src')).toEqual(['set s (iptables-save.txt:3)']);
    expect(holds('hash:ip bitmask what', ['10.0.0.9'], 'src')).toEqual(['set s (iptables-save.txt:3)']);
    expect(holds('hash:ip netmask what', ['10.0.0.9'], 'src')).toEqual(['set s (iptables-save.txt:3)']);
    for (const member of ['red', '00:11:22:33:44:55x', 'x00:11:22:33:44:55', '00:11:22:33:44']) {
      expect(holds('hash:ip,mac', [`10.0.0.9,${member}`], 'src,src')).toEqual(['set s (iptables-save.txt:3)']);
    }
    for (const member of [
      '10.0.0.9,red',
      '10.0.0.9,0x12x',
      '10.0.0.9,x12',
      '10.0.0.9',
      '10.0.0.9,1,2',
      '10.0.0.1-x,1',
    ]) {
      expect(holds('hash:ip,mark', [member], 'src,src')).toEqual(['set s (iptables-save.txt:3)']);
    }
    for (const port of ['colour:80', 'tcp:8/0', 'tcp:http', 'tcp:', '80-', 'tcp:80x']) {
      expect(holds('hash:ip,port', [`10.0.0.9,${port}`], 'src,dst')).toEqual(['set s (iptables-save.txt:3)']);
    }
    expect(holds('hash:net,iface', ['10.0.0.0/8'], 'src,src')).toEqual(['set s (iptables-save.txt:3)']);
    expect(holds('hash:ip', ['x-10.0.0.9'], 'src')).toEqual(['set s (iptables-save.txt:3)']);
    expect(holds('hash', ['10.0.0.9'], 'src')).toEqual(['set s (iptables-save.txt:3)']);
    expect(holds('hash:net,port netmask what', ['10.0.0.0/8,tcp:80'], 'src,dst')).toEqual([
      'set s (iptables-save.txt:3)',
    ]);
  });
});

describe('sets of which something is not known', () => {
  const set = (text: string, match: string): readonly string[] =>
    ask({
      'iptables-save.txt': `*mangle\n-A PREROUTING -m set --match-set s ${match} -j DROP\nCOMMIT\n`,
      'ipset-save.txt': text,
    })
      .map(({ verdict }) => verdict)
      .sort();

  it('a list of a set that is not there, or of a type that is not known', () => {
    expect(set('create s list:set size 8\nadd s other\n', 'src')).toEqual(['delivered', 'dropped']);
    expect(set('create s hash:ip,port\nadd s 10.0.0.9,icmp:odd-name\n', 'src,dst')).toEqual(['delivered', 'dropped']);
    const odd = 'create other hash:ip,color family inet\ncreate s list:set size 8\nadd s other\n';
    expect(set(odd, 'src')).toEqual(['delivered', 'dropped']);
  });
});
