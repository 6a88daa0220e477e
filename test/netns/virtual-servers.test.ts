import { describe, expect, it } from 'vitest';
import type { Packet } from '../../src/netns/face.js';
import { ask, BRIDGED, devices } from './bridged.js';
import { nftChain, type Files } from './netns-files.js';
import { verdicts } from './packets.js';

const DROP = { drop: null };

describe('IPVS', () => {
  const ipvs = {
    'ip-address.json': devices([...BRIDGED, { ifname: 'kube-ipvs0', kind: 'dummy', local: '10.96.0.1' }]),
  };
  const own = { direction: 'out', iif: null, src: { ip: '10.0.0.5', port: 40000 }, uid: 0, gid: 0 } as const;

  it.each([
    ['the address of a Service', '10.96.0.1', 80],
    ['a node port', '10.0.0.5', 30080],
    ['a port where nobody listens', '10.0.0.5', 31234],
  ])('%s is not delivered here', (_name, ip, port) => {
    const [arrived] = ask(ipvs, { dst: { ip, port } });
    expect(arrived?.verdict).toBe('unknown');
    expect(arrived?.unknowns[0]?.reason).toContain('ipvsadm');
    expect(verdicts(ask(ipvs, { ...own, dst: { ip, port } }))).toEqual(['unknown']);
  });

  it('leaves the machine its own listeners, pings, and what rules drop', () => {
    expect(verdicts(ask(ipvs))).toEqual(['delivered']);
    expect(verdicts(ask(ipvs, { protocol: 'icmp', dst: { ip: '10.96.0.1', port: 0 } }))).toEqual(['delivered']);
    const rules = { 'iptables-save.txt': '*filter\n:INPUT DROP [0:0]\nCOMMIT\n' };
    expect(verdicts(ask({ ...ipvs, ...rules }, { dst: { ip: '10.96.0.1', port: 80 } }))).toEqual(['dropped']);
  });

  const rules = (...lines: readonly string[]): Files => ({ 'iptables-save.txt': lines.join('\n') });
  const service = { dst: { ip: '10.96.0.1', port: 80 } };

  it('stands after nat in OUTPUT, and before the rules behind it (NF_IP_PRI_NAT_DST + 2)', () => {
    const drop = rules('*filter', ':OUTPUT DROP [0:0]', 'COMMIT', '');
    expect(verdicts(ask({ ...ipvs, ...drop }, { ...own, ...service }))).toEqual(['unknown']);
    const mangled = rules('*mangle', ':OUTPUT DROP [0:0]', 'COMMIT', '');
    expect(verdicts(ask({ ...ipvs, ...mangled }, { ...own, ...service }))).toEqual(['dropped']);
    const nat = rules('*nat', ':OUTPUT ACCEPT [0:0]', '-A OUTPUT -j DNAT --to-destination 8.8.8.8', 'COMMIT', '');
    expect(verdicts(ask({ ...ipvs, ...nat }, { ...own, ...service }))).toEqual(['sent']);
  });

  it('stands before nat in INPUT (NF_IP_PRI_NAT_SRC - 1)', () => {
    const late = nftChain('ip', 'input', [DROP], { prio: 101 });
    expect(verdicts(ask({ ...ipvs, ...late }, service))).toEqual(['unknown']);
    expect(verdicts(ask({ ...ipvs, ...nftChain('ip', 'input', [DROP], { prio: 98 }) }, service))).toEqual(['dropped']);
  });

  it('looks for its replies first (NF_IP_PRI_NAT_SRC - 2, NF_IP_PRI_NAT_DST + 1)', () => {
    const assumed = { ctstate: 'ESTABLISHED', ctdir: 'REPLY', connmark: 0 } as const;
    const reply = { assumed, tcpFlags: ['ACK'] } as const;
    const at = (hook: string, prio: number, over: Partial<Packet>): readonly string[] =>
      verdicts(ask({ ...ipvs, ...nftChain('ip', hook, [DROP], { prio }) }, { ...reply, ...over }));
    expect(at('input', 97, {})).toEqual(['dropped']);
    expect(at('input', 99, {})).toEqual(['dropped', 'unknown']);
    const out = { ...own, dst: { ip: '8.8.8.8', port: 4000 } };
    expect(at('output', -100, out)).toEqual(['dropped']);
    expect(at('output', -98, out)).toEqual(['dropped', 'unknown']);
    expect(verdicts(ask({ ...ipvs, ...nftChain('ip', 'input', [DROP], { prio: 100 }) }, service))).toEqual(['unknown']);
  });

  it('may translate the replies of connections of which nothing is known', () => {
    const assumed = { ctstate: 'ESTABLISHED', ctdir: 'REPLY', connmark: 0 } as const;
    const reply = { assumed, tcpFlags: ['ACK'], dst: { ip: '8.8.8.8', port: 4000 } } as const;
    expect(verdicts(ask(ipvs, reply))).toEqual(['forwarded', 'unknown']);
    expect(verdicts(ask({}, reply))).toEqual(['forwarded']);
    const line =
      'ipv4     2 tcp      6 9 ESTABLISHED src=8.8.8.8 dst=10.244.1.9 sport=4000 dport=40000 src=10.244.1.9 dst=8.8.8.8 sport=40000 dport=4000 [ASSURED] mark=0 use=1';
    expect(verdicts(ask({ ...ipvs, 'conntrack.txt': line }, reply))).toEqual(['forwarded']);
  });

  it('is not there without its device', () => {
    expect(verdicts(ask({}, { dst: { ip: '10.96.0.1', port: 80 } }))).toEqual(['delivered']);
  });
});
