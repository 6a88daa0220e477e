import { describe, expect, it } from 'vitest';
import { answerLine } from '../../src/netns/eval.js';
import type { NetnsOutcome, Packet } from '../../src/netns/face.js';
import { without, type Files } from './netns-files.js';
import { ask, dropping, FILES } from './one-device.js';
import { firstPacket } from './packets.js';
import { namespaceOf } from './vectors.js';

describe('what is not there', () => {
  const only = (files: Files, over: Partial<Packet> = {}): NetnsOutcome | undefined =>
    namespaceOf(files).send(firstPacket(over))[0];

  it('without rules: unknown, naming the file', () => {
    const outcome = only(without(FILES, 'iptables-save.txt'));
    expect(outcome?.verdict).toBe('unknown');
    expect(outcome?.unknowns[0]?.fact).toContain('iptables-save.txt');
  });

  it("nft's list stands in for iptables-save where it holds its tables; IPv6 files are not missed by IPv4", () => {
    const listed = (name: string): string => {
      const chain = {
        family: 'ip',
        table: name,
        name: 'INPUT',
        type: 'filter',
        hook: 'input',
        prio: 0,
        policy: 'accept',
      };
      return JSON.stringify({ nftables: [{ table: { family: 'ip', name } }, { chain }] });
    };
    const asked = (list: string): string | undefined =>
      only(without({ ...FILES, 'nft-ruleset.json': list }, 'iptables-save.txt'))?.verdict;
    expect(asked(listed('filter'))).toBe('delivered');
    // iptables may be that of the legacy back-end
    expect(asked(listed('own'))).toBe('unknown');
    expect(asked('{"nftables":[]}')).toBe('unknown');
  });

  it('a truncated file is not "no rules"', () => {
    const outcome = ask({ 'iptables-save.txt': '*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j DR' })[0];
    expect(outcome?.verdict).toBe('unknown');
    expect(outcome?.unknowns[0]?.reason).toContain('damaged');
    expect(ask({ 'nft-ruleset.json': '{"nftables":[' })[0]?.verdict).toBe('unknown');
    expect(ask({ 'ip-route.json': '[{"dst":' })[0]?.verdict).toBe('unknown');
  });

  it.each(['ip-rule.json', 'ip-route.json'])('%s: unknown', (file) => {
    expect(only(without(FILES, file))?.unknowns[0]?.fact).toContain(file);
  });

  it('sockets: it arrives, by whom it is taken is unknown', () => {
    const outcome = only(without(FILES, 'sockets.txt'));
    expect(outcome).toMatchObject({ verdict: 'delivered', socket: null });
    expect(outcome?.unknowns[0]?.fact).toContain('sockets.txt');
    const answer = answerLine(
      namespaceOf(without(FILES, 'sockets.txt')),
      '{"id":1,"direction":"in","iif":"eth0","protocol":"tcp","src":"10.0.0.9:1","dst":"10.0.0.5:80"}',
    );
    expect(answer).toMatchObject({ outcomes: [{ verdict: 'unknown' }] });
  });

  it('sysctl: a source that comes the straight way needs none, another one does', () => {
    expect(only(without(FILES, 'sysctl.txt'))?.verdict).toBe('delivered');
    expect(only(without(FILES, 'sysctl.txt'), { src: { ip: '127.0.0.1', port: 1 } })?.verdict).toBe('unknown');
    expect(only(without(FILES, 'sysctl.txt'), { dst: { ip: '8.8.8.8', port: 1 } })?.verdict).toBe('unknown');
  });

  it('ipset: both ways, only where a rule asks', () => {
    expect(only(without(FILES, 'ipset-save.txt'))?.verdict).toBe('delivered');
    const files = without({ ...FILES, ...dropping('-m set --match-set s src') }, 'ipset-save.txt');
    const outcomes = namespaceOf(files).send(firstPacket({}));
    expect(outcomes.map(({ verdict }) => verdict).sort()).toEqual(['delivered', 'dropped']);
    expect(outcomes[0]?.unknowns[0]?.fact).toContain('ipset-save.txt');
  });

  it('an eBPF program before the rules is a fork', () => {
    const tc =
      'qdisc clsact ffff: dev eth0 parent ffff:fff1\nfilter protocol all pref 1 bpf chain 0 handle 0x1 p direct-action\n';
    expect(
      ask({ 'tc.txt': tc })
        .map(({ verdict }) => verdict)
        .sort(),
    ).toEqual(['delivered', 'unknown']);
  });

  it('odd packets answer unknown and never throw', () => {
    expect(ask({}, { iif: null })[0]?.verdict).toBe('unknown');
    expect(ask({}, { dst: { ip: 'nonsense', port: 1 } })[0]?.verdict).toBe('unknown');
    expect(ask({}, { dst: { ip: 'fd00::1', port: 1 } })[0]?.verdict).toBe('unknown');
  });
});
