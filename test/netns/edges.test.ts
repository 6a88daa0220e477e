import { describe, expect, it } from 'vitest';
import { isOn } from '../../src/netns/device-programs.js';
import type { NetnsOutcome, Packet } from '../../src/netns/face.js';
import { firstPacket } from './packets.js';
import { namespaceOf } from './vectors.js';
import { DEFAULT_RULES, localRoute } from './netns-files.js';

/** What the bench of test/kernel cannot hold: other listeners, legacy tables, senders that are not known. */

const KEYS = ['rp_filter', 'accept_local', 'route_localnet', 'send_redirects', 'src_valid_mark', 'forwarding'];
const FILES: Readonly<Record<string, string>> = {
  'ip-rule.json': DEFAULT_RULES,
  'ip-route.json': JSON.stringify([
    { dst: 'default', gateway: '10.0.0.1', dev: 'eth0', flags: [] },
    localRoute('10.0.0.5', 'eth0'),
    localRoute('10.0.0.6', 'eth0'),
  ]),
  'sockets.txt': 'LISTEN 0 128 0.0.0.0:80 0.0.0.0:*\n',
  'sysctl.txt': `${['all', 'lo', 'eth0']
    .flatMap((device) => KEYS.map((key) => `net.ipv4.conf.${device}.${key} = 0`))
    .join('\n')}\nnet.ipv4.ip_forward = 0\n`,
  'ip-address.json': JSON.stringify([
    { ifindex: 1, ifname: 'lo', flags: ['LOOPBACK', 'UP'], addr_info: [] },
    {
      ifindex: 2,
      ifname: 'eth0',
      flags: ['UP'],
      addr_info: ['10.0.0.5', '10.0.0.6'].map((own) => ({
        family: 'inet',
        local: own,
        prefixlen: 24,
        scope: 'global',
      })),
    },
  ]),
  'iptables-save.txt': '',
};

function ask(files: Readonly<Record<string, string>>, over: Partial<Packet> = {}): readonly NetnsOutcome[] {
  return namespaceOf({ ...FILES, ...files }).send(firstPacket(over));
}

describe('devices that nft names', () => {
  it('exactly, or by their beginning and a star', () => {
    const named = (written: string): readonly string[] =>
      ['eth', 'eth0', 'eth01', 'veth0'].filter((one) => isOn(written, one));
    expect(named('eth0')).toEqual(['eth0']);
    expect(named('eth*')).toEqual(['eth', 'eth0', 'eth01']);
    expect(named('eth0*')).toEqual(['eth0', 'eth01']);
    expect(named('th0*')).toEqual([]);
    expect(named('*')).toEqual(['eth', 'eth0', 'eth01', 'veth0']);
  });
});

describe('several sockets of one port (compute_score: net/ipv4/inet_hashtables.c)', () => {
  const taker = (...sockets: readonly string[]): string | undefined => {
    const names = [sockets, [...sockets].reverse()].map((list) => {
      const text = list.map((socket) => `LISTEN 0 128 ${socket} ${socket.startsWith('[') ? '[::]' : '0.0.0.0'}:*\n`);
      const [outcome] = ask({ 'sockets.txt': text.join('') });
      return outcome?.verdict === 'delivered' ? outcome.socket?.name : outcome?.verdict;
    });
    expect(names[0]).toBe(names[1]);
    return names[0];
  };

  it('the bound address comes before the device, the device before the family', () => {
    expect(taker('0.0.0.0:80', '10.0.0.5:80')).toBe('10.0.0.5:80');
    expect(taker('0.0.0.0:80', '0.0.0.0%eth0:80')).toBe('0.0.0.0%eth0:80');
    expect(taker('10.0.0.5:80', '0.0.0.0%eth0:80')).toBe('10.0.0.5:80');
    expect(taker('*:80', '0.0.0.0:80')).toBe('0.0.0.0:80');
    expect(taker('*%eth0:80', '0.0.0.0:80')).toBe('*%eth0:80');
    expect(taker('*:80', '10.0.0.5:80')).toBe('10.0.0.5:80');
  });

  it('another address, another device, another family takes nothing', () => {
    expect(taker('10.0.0.6:80')).toBe('refused');
    expect(taker('0.0.0.0%lo:80')).toBe('refused');
    expect(taker('10.0.0.6:80', '0.0.0.0:80')).toBe('0.0.0.0:80');
    expect(taker('0.0.0.0%lo:80', '0.0.0.0:80')).toBe('0.0.0.0:80');
  });
});

describe('a sender that is not known', () => {
  const out: Partial<Packet> = {
    direction: 'out',
    iif: null,
    src: { ip: '10.0.0.5', port: 40000 },
    dst: { ip: '8.8.8.8', port: 80 },
  };
  const ends = (first: string, second: string): readonly string[] =>
    ask(
      {
        'iptables-save.txt': `*filter\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -m owner --uid-owner ${first} -j MARK --set-xmark 0x1/0xffffffff\n-A OUTPUT -m owner --uid-owner ${second} -j DROP\nCOMMIT\n`,
      },
      out,
    ).map(({ verdict, mark }) => `${verdict} ${mark}`);

  it('one id excludes the others, a range does not say which', () => {
    expect([...ends('1000', '1001')].sort()).toEqual(['dropped 0', 'sent 0', 'sent 1']);
    expect(ends('1000-1001', '1000')).toContain('dropped 1');
    expect(ends('1000-1001', '1000')).toContain('sent 1');
    expect(ends('1000-1001', '1001')).toContain('dropped 1');
  });
});

describe("legacy nat among nft's filters (NF_IP_PRI_NAT_DST, NF_IP_PRI_NAT_SRC)", () => {
  const nft = (hook: string, prio: number, field: string, right: string): string =>
    JSON.stringify({
      nftables: [
        { table: { family: 'ip', name: 't' } },
        { chain: { family: 'ip', table: 't', name: 'c', type: 'filter', hook, prio, policy: 'accept' } },
        {
          rule: {
            family: 'ip',
            table: 't',
            chain: 'c',
            expr: [{ match: { op: '==', left: { payload: { protocol: 'ip', field } }, right } }, { drop: null }],
          },
        },
      ],
    });
  const seen = (
    chain: string,
    hook: string,
    field: string,
    over: Partial<Packet>,
    prio: number,
  ): string | undefined => {
    const target = field === 'saddr' ? 'SNAT --to-source 10.0.0.77' : 'DNAT --to-destination 10.0.0.6';
    const chains = ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'].map((name) => `:${name} ACCEPT [0:0]\n`).join('');
    const save = `*nat\n${chains}-A ${chain} -p tcp -j ${target}\nCOMMIT\n# Completed\n`;
    const file = nft(hook, prio, field, field === 'saddr' ? '10.0.0.77' : '10.0.0.6');
    const outcomes = ask(
      { 'iptables-save.txt': `# Generated by iptables-save v1.8.4\n${save}`, 'nft-ruleset.json': file },
      over,
    );
    return outcomes.length === 1 ? outcomes[0]?.verdict : outcomes.map(({ verdict }) => verdict).join();
  };
  const out: Partial<Packet> = { direction: 'out', iif: null, src: { ip: '10.0.0.5', port: 40000 } };

  it.each([
    ['PREROUTING', 'prerouting', 'daddr', {}, -100],
    ['OUTPUT', 'output', 'daddr', out, -100],
    ['INPUT', 'input', 'saddr', {}, 100],
    ['POSTROUTING', 'postrouting', 'saddr', { ...out, dst: { ip: '8.8.8.8', port: 80 } }, 100],
  ] as const)('%s', (chain, hook, field, over, priority) => {
    expect(seen(chain, hook, field, over, priority - 1)).not.toBe('dropped');
    expect(seen(chain, hook, field, over, priority + 1)).toBe('dropped');
  });
});
