import { describe, expect, it } from 'vitest';
import { answerLine, type NetnsAnswerOutcome } from '../../src/netns/eval.js';
import { deviceSettings } from './netns-files.js';
import { firstPacket } from './packets.js';
import { lines, loadVectors, namespaceOf, type Observed } from './vectors.js';

/** The second packet of a connection: asked for with nothing but the line that the kernel's list had of it then. */
interface Conversation {
  readonly id: string;
  readonly firstOutcome: Observed;
  readonly packet: Record<string, unknown> & { readonly protocol: string; readonly ctdir: string };
  readonly outcome: Observed;
  readonly conntrack: string;
}

/** Only over a forwarded connection was a reply sent in between: elsewhere an ACK comes before any SYN-ACK. */
function asSeen({ conntrack, firstOutcome, packet }: Conversation): object {
  const early = conntrack.includes('[UNREPLIED]') && firstOutcome.verdict !== 'forwarded' && packet.ctdir !== 'REPLY';
  return early ? { ctstate: 'NEW', ...(packet.protocol === 'tcp' ? { tcpFlags: 'ACK' } : {}) } : {};
}

/** The reply in between changed the connection's mark; the line is older than that. */
const ACCIDENTS: ReadonlySet<string> = new Set(['istio118-002 2']);

function keyOf({ verdict, src, dst, oif, mark, connmark }: Observed | NetnsAnswerOutcome): string {
  if (verdict === 'dropped' || verdict === 'rejected') return 'stopped';
  return [verdict === 'refused' ? 'delivered' : verdict, src, dst, oif, mark, connmark].join(' ');
}

const talking = loadVectors().filter(({ conversations }) => conversations !== '');

describe('conntrack.txt of the kernel', () => {
  it.each(talking.map((vector) => [vector.name, vector] as const))('%s', (name, vector) => {
    const conversations = lines<Conversation>(vector.conversations);
    const netns = namespaceOf({
      ...vector.files,
      'conntrack.txt': conversations.map(({ conntrack }) => `${conntrack}\n`).join(''),
    });
    const wrong: string[] = [];
    for (const conversation of conversations) {
      const { id, packet, outcome, conntrack } = conversation;
      if (ACCIDENTS.has(`${name} ${id}`)) continue;
      const answer = answerLine(netns, JSON.stringify({ id, ...packet, ...asSeen(conversation) }));
      const derived = 'error' in answer ? [answer.error] : answer.outcomes.map(keyOf);
      if (!derived.includes(keyOf(outcome))) {
        wrong.push(`${id}: ${keyOf(outcome)}; derived ${derived.join(' | ')}\n${JSON.stringify(packet)}\n${conntrack}`);
      }
    }
    expect(wrong).toEqual([]);
  });
});

const BASE = {
  'iptables-save.txt': [
    '*raw',
    ':PREROUTING ACCEPT [0:0]',
    '-A PREROUTING -i eth1 -j CT --zone-orig 7',
    'COMMIT',
    '*nat',
    ':PREROUTING ACCEPT [0:0]',
    '-A PREROUTING -p tcp -j REDIRECT --to-ports 15006',
    'COMMIT',
    '',
  ].join('\n'),
  'ip-rule.json': '[{"priority":0,"src":"all","table":"local"}]',
  'ip-route.json': '[{"type":"local","dst":"10.0.0.5","dev":"eth0","table":"local","flags":[]}]',
  'ip-address.json': JSON.stringify(
    ['eth0', 'eth1'].map((ifname, at) => ({
      ifindex: at + 2,
      ifname,
      flags: ['UP'],
      addr_info: [{ family: 'inet', local: '10.0.0.5', prefixlen: 24, scope: 'global' }],
    })),
  ),
  'sysctl.txt': deviceSettings(['all', 'eth0', 'eth1']),
  'sockets.txt': 'LISTEN 0 128 0.0.0.0:80 0.0.0.0:*\nLISTEN 0 128 0.0.0.0:15006 0.0.0.0:*\n',
};
const THERE = 'src=10.0.0.9 dst=10.0.0.5 sport=40000 dport=80';
const BACK = 'src=10.0.0.5 dst=10.0.0.9 sport=80 dport=40000';
const tcp = (state: string, rest = '[ASSURED] mark=9 use=1', there = THERE): string =>
  `ipv4     2 tcp      6 431999 ${state} ${there} ${BACK} ${rest}`;

function ask(conntrack: string | null, over: object = {}): readonly NetnsAnswerOutcome[] {
  const netns = namespaceOf({ ...BASE, ...(conntrack === null ? {} : { 'conntrack.txt': conntrack }) });
  const packet = { direction: 'in', iif: 'eth0', protocol: 'tcp', src: '10.0.0.9:40000', dst: '10.0.0.5:80' };
  const answer = answerLine(netns, JSON.stringify({ id: 1, ...packet, ...over }));
  if ('error' in answer) throw new Error(answer.error);
  return answer.outcomes;
}

const ends = (outcomes: readonly NetnsAnswerOutcome[]): readonly string[] =>
  outcomes.map(({ verdict, dst, connmark }) => `${verdict} ${dst} ${connmark}`).sort();
/** A later packet of a connection. */
const LATER = { ctstate: 'ESTABLISHED' };
const NEW = ['delivered 10.0.0.5:15006 0x0'];
const OLD = ['delivered 10.0.0.5:80 0x9'];

describe('a packet of a connection that is there', () => {
  it('keeps its translation, or that it has none, and its mark; the line is the evidence', () => {
    expect(ends(ask(null))).toEqual(NEW);
    expect(ends(ask(tcp('ESTABLISHED'), LATER))).toEqual(OLD);
    const translated = tcp('ESTABLISHED').replace('sport=80', 'sport=15006');
    const [outcome] = ask(translated, LATER);
    expect(ends(ask(translated, LATER))).toEqual(['delivered 10.0.0.5:15006 0x9']);
    expect(outcome?.decidedBy).toEqual({ file: 'conntrack.txt', line: 1, text: translated });
  });

  it('is only one with the same addresses, ports and zone', () => {
    const elsewhere = ends(ask(null, LATER));
    expect(elsewhere).not.toEqual(OLD);
    expect(ends(ask(tcp('ESTABLISHED'), { ...LATER, src: '10.0.0.9:40001' }))).toEqual(elsewhere);
    expect(ends(ask(tcp('ESTABLISHED'), { ...LATER, iif: 'eth1' }))).toEqual(NEW);
    expect(ends(ask(tcp('ESTABLISHED', '[ASSURED] mark=9 zone=7 use=1'), LATER))).toEqual(elsewhere);
    const directional = tcp('ESTABLISHED', '[ASSURED] mark=9 use=1', `${THERE} zone-orig=7`);
    expect(ends(ask(directional, { ...LATER, iif: 'eth1' }))).toEqual(OLD);
    expect(ends(ask(directional, LATER))).toEqual(elsewhere);
  });

  it('is none that was answered where the question says NEW: the list may be younger than the packet', () => {
    for (const state of ['TIME_WAIT', 'ESTABLISHED', 'CLOSE']) {
      expect(ends(ask(tcp(state)))).toEqual(NEW);
      expect(ends(ask(tcp(state), { ctstate: 'ESTABLISHED' }))).toEqual(OLD);
    }
  });

  it('a SYN is sent again, or opens a connection anew that its side had ended (tcp_conntracks)', () => {
    const waiting = '[UNREPLIED]';
    const line = (state: string): string => tcp(state, 'mark=9 use=1', THERE).replace(BACK, `${waiting} ${BACK}`);
    expect(ends(ask(line('SYN_SENT')))).toEqual(OLD);
    expect(ends(ask(line('SYN_SENT'), { tcpFlags: 'ACK' }))).toEqual(ends(ask(null, { ctstate: 'INVALID' })));
    expect(ends(ask(line('CLOSE')))).toEqual([...NEW, ...OLD].sort());
  });

  it('may have a socket that no list shows', () => {
    const line = tcp('ESTABLISHED').replaceAll('port=80', 'port=81');
    const [outcome] = ask(line, { ...LATER, dst: '10.0.0.5:81' });
    expect(outcome).toMatchObject({ verdict: 'unknown' });
    expect(outcome?.reason).toContain('conntrack.txt:1');
  });

  it('is none where the question says so, or the packet is a ping', () => {
    const marked = (over: object): unknown => ask(tcp('ESTABLISHED'), over)[0]?.connmark;
    expect(marked({ ctstate: 'INVALID' })).toBe('0x0');
    expect(marked({ ctstate: 'UNTRACKED' })).toBe('0x0');
    expect(marked({ protocol: 'icmp' })).toBe('0x0');
  });

  it('of the walk is always a new one', () => {
    const [outcome] = namespaceOf({ ...BASE, 'conntrack.txt': tcp('ESTABLISHED') }).send(firstPacket({}));
    expect(outcome?.dst.port).toBe(15006);
  });

  it('a damaged list is told, and used as far as it goes', () => {
    const files = { ...BASE, 'conntrack.txt': `${tcp('ESTABLISHED')}\nipv4     2 tcp      6 43` };
    expect(namespaceOf(files).problems).toContainEqual({
      fact: 'existing connections: conntrack.txt',
      reason: 'damaged (line 2): not a line of conntrack: ipv4     2 tcp      6 43',
    });
    expect(ends(ask(files['conntrack.txt'], LATER))).toEqual(OLD);
    expect(namespaceOf(BASE).problems.filter(({ fact }) => fact.includes('conntrack'))).toEqual([]);
  });
});
