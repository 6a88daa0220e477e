import { describe, expect, it } from 'vitest';
import { ask } from './bridged.js';
import type { Files } from './netns-files.js';
import { verdicts } from './packets.js';

const DROP = { drop: null };

describe('a flowtable', () => {
  const flowtable = (dev: string): Files => ({
    'nft-ruleset.json': JSON.stringify({
      nftables: [
        { table: { family: 'inet', name: 't' } },
        { flowtable: { family: 'inet', table: 't', name: 'f', hook: 'ingress', prio: 0, dev: [dev, 'eth0'] } },
        {
          chain: { family: 'inet', table: 't', name: 'c', type: 'filter', hook: 'forward', prio: 0, policy: 'accept' },
        },
        { rule: { family: 'inet', table: 't', chain: 'c', expr: [{ flow: { op: 'add', flowtable: '@f' } }] } },
        { rule: { family: 'inet', table: 't', chain: 'c', expr: [DROP] } },
      ],
    }),
  });
  const later = {
    dst: { ip: '8.8.8.8', port: 80 },
    tcpFlags: ['ACK'] as const,
    assumed: { ctstate: 'ESTABLISHED', ctdir: 'ORIGINAL', connmark: 0 } as const,
  };

  it('may have taken an established connection past the rule that drops it', () => {
    expect(verdicts(ask(flowtable('veth1'), later))).toEqual(['dropped', 'unknown']);
  });

  it('takes no first packet: the rest of the rule is not for that', () => {
    const files = flowtable('veth1');
    const text = (files['nft-ruleset.json'] ?? '')
      .replace(
        '"expr":[{"flow":{"op":"add","flowtable":"@f"}}]',
        '"expr":[{"flow":{"op":"add","flowtable":"@f"}},{"drop":null}]',
      )
      .replace(/,\{"rule":[^[]*\[\{"drop":null\}\]\}\}/, '');
    expect(verdicts(ask({ 'nft-ruleset.json': text }, { dst: later.dst }))).toEqual(['forwarded']);
    expect(verdicts(ask({ 'nft-ruleset.json': text }, later))).toEqual(['dropped', 'unknown']);
  });

  it('may have taken one past the rule that marks it', () => {
    const marks = (key: string): Files => {
      const files = flowtable('veth1');
      const statement = { mangle: { key: { [key]: { key: 'mark' } }, value: 7 } };
      const text = files['nft-ruleset.json']?.replace('{"drop":null}', JSON.stringify(statement)) ?? '';
      return { 'nft-ruleset.json': text };
    };
    expect(verdicts(ask(marks('meta'), later))).toEqual(['forwarded', 'unknown']);
    expect(verdicts(ask(marks('ct'), later))).toEqual(['forwarded', 'unknown']);
    expect(verdicts(ask(marks('meta'), { dst: later.dst }))).toEqual(['forwarded']);
    const same = { ...later, mark: 7, assumed: { ...later.assumed, connmark: 7 } };
    expect(verdicts(ask(marks('meta'), same))).toEqual(['forwarded']);
    expect(verdicts(ask(marks('ct'), same))).toEqual(['forwarded']);
  });

  it('has what conntrack.txt calls offloaded, and nothing else of it', () => {
    const line = (state: string, flag: string): string =>
      `ipv4     2 tcp      6 ${state}src=10.244.1.9 dst=8.8.8.8 sport=40000 dport=80 src=8.8.8.8 dst=10.244.1.9 sport=80 dport=40000 [${flag}] mark=0 use=2`;
    const listed = (conntrack: string): readonly string[] =>
      verdicts(ask({ ...flowtable('veth1'), 'conntrack.txt': conntrack }, later));
    expect(listed(line('', 'OFFLOAD'))).toEqual(['unknown']);
    expect(listed(line('99 ESTABLISHED ', 'ASSURED'))).toEqual(['dropped']);
  });

  it('takes no first packet, and none of other devices', () => {
    expect(verdicts(ask(flowtable('veth1'), { dst: later.dst }))).toEqual(['dropped']);
    expect(verdicts(ask(flowtable('veth9'), later))).toEqual(['dropped']);
  });
});
