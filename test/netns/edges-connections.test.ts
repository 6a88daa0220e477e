import { describe, expect, it } from 'vitest';
import { answerLine } from '../../src/netns/eval.js';
import type { NetnsOutcome, Packet } from '../../src/netns/face.js';
import { firstPacket } from './packets.js';
import type { Files } from './netns-files.js';
import { ask, FILES, OUT } from './two-devices.js';
import { namespaceOf } from './vectors.js';

/** Later packets of connections at TPROXY and -m socket, and questions of which something is wrong. */

const ends = (outcomes: readonly NetnsOutcome[]): readonly string[] =>
  outcomes.map(({ verdict, socket, mark }) => `${verdict} ${socket?.name ?? '-'} ${mark}`).sort();

interface Rules {
  readonly [table: string]: readonly string[];
}

function save(rules: Rules): Files {
  const text = Object.entries(rules).map(
    ([table, lines]) => `*${table}\n${lines.map((line) => `-A ${line}\n`).join('')}COMMIT\n`,
  );
  return { 'iptables-save.txt': text.join('') };
}

/** The packet after the first one of its connection: back (`reply`) or on; `transparent`: of the socket that has it. */
function later(files: Files, first: Partial<Packet>, transparent: boolean, reply: boolean): Packet {
  const opened = ask(files, first).find(({ conntrack }) => conntrack !== null)?.conntrack;
  if (opened == null) throw new Error('no connection');
  const { src, dst } = reply ? opened.reply : opened.original;
  return firstPacket({
    ...first,
    direction: 'in',
    iif: 'eth0',
    src,
    dst,
    conntrack: { ...opened, seenReply: true },
    tcpFlags: first.protocol === 'udp' ? [] : ['ACK'],
    connectedSocket: { name: 'own', transparent },
  });
}

function then(
  rules: Rules,
  first: Partial<Packet>,
  over: { readonly transparent?: boolean; readonly reply?: boolean } = {},
): readonly string[] {
  const files = save(rules);
  return ends(
    namespaceOf({ ...FILES, ...files }).send(later(files, first, over.transparent ?? false, over.reply ?? false)),
  );
}

const TPROXY = 'PREROUTING -p tcp -j TPROXY --on-port 15001 --on-ip 127.0.0.1 --tproxy-mark 0x1';
const ANY_TPROXY = 'PREROUTING -p tcp -j TPROXY --on-port 15001 --on-ip 0.0.0.0 --tproxy-mark 0x1';

describe('TPROXY of a connection that a socket has (tproxy_tg4: first of all the established ones)', () => {
  const mangle = (...rules: readonly string[]): Rules => ({ mangle: rules });

  it('leaves it to that socket, if it is transparent; what another has is dropped', () => {
    expect(then(mangle(ANY_TPROXY), {}, { transparent: true })).toEqual(['delivered own 1']);
    expect(then(mangle(ANY_TPROXY), {}, { transparent: false })).toEqual(['dropped - 0']);
    expect(then(mangle(TPROXY), OUT, { reply: true, transparent: true })).toEqual(['delivered own 1']);
    expect(then(mangle(TPROXY), OUT, { reply: true })).toEqual(['dropped - 0']);
  });

  it('does not find the socket by addresses that nat has still to translate', () => {
    const redirected: Rules = { mangle: [ANY_TPROXY], nat: ['PREROUTING -p tcp -j REDIRECT --to-ports 7070'] };
    expect(then(redirected, {})).toEqual(['delivered 0.0.0.0:15001 1']);
    const moved: Rules = { mangle: [ANY_TPROXY], nat: ['PREROUTING -p tcp -j DNAT --to-destination 10.0.0.6'] };
    expect(then(moved, {})).toEqual(['delivered 0.0.0.0:15001 1']);
    const from = (target: string): Rules => ({
      mangle: [ANY_TPROXY],
      nat: [`POSTROUTING -p tcp -j SNAT --to-source ${target}`],
    });
    expect(then(from('10.0.0.6'), OUT, { reply: true })).toEqual(['delivered 0.0.0.0:15001 1']);
    expect(then(from('10.0.0.5:50000'), OUT, { reply: true })).toEqual(['delivered 0.0.0.0:15001 1']);
    // the peer is another, too, where the destination was translated on the way out
    const out: Rules = { mangle: [ANY_TPROXY], nat: ['OUTPUT -p tcp -j DNAT --to-destination 9.9.9.9'] };
    expect(then(out, OUT, { reply: true })).toEqual(['delivered 0.0.0.0:15001 1']);
    const port: Rules = { mangle: [ANY_TPROXY], nat: ['OUTPUT -p tcp -j DNAT --to-destination 8.8.8.8:444'] };
    expect(then(port, OUT, { reply: true })).toEqual(['delivered 0.0.0.0:15001 1']);
  });

  it('of UDP the socket may not be connected, and owns no flow then (nf_tproxy_get_sock_v4)', () => {
    const udp: Partial<Packet> = { protocol: 'udp', tcpFlags: [], dst: { ip: '10.0.0.5', port: 53 } };
    const rule = 'PREROUTING -p udp -j TPROXY --on-port 15053 --on-ip 0.0.0.0 --tproxy-mark 0x1';
    expect(then(mangle(rule), udp, { transparent: true })).toEqual(['delivered 0.0.0.0:15053 1', 'delivered own 1']);
  });
});

describe('-m socket of a connection that a socket has', () => {
  const marks = (table: string, ...options: readonly string[]): Rules => ({
    [table]: options.map((option, at) => `PREROUTING -m socket${option} -j MARK --set-xmark 0x${2 ** at}/0x${2 ** at}`),
  });
  const all = ['', ' --transparent', ' --nowildcard', ' --transparent --nowildcard'];

  it.each(['raw', 'mangle'])('%s: it is that one, not the listener', (table) => {
    expect(then(marks(table, ...all), {})).toEqual(['delivered own 5']);
    expect(then(marks(table, ...all), {}, { transparent: true })).toEqual(['delivered own 15']);
    expect(then(marks(table, ...all), OUT, { reply: true })).toEqual(['delivered own 5']);
  });

  it('is found under the address that was translated, where conntrack knows it (nf_sk_lookup_slow_v4)', () => {
    const nat = ['POSTROUTING -p tcp -j SNAT --to-source 10.0.0.6:50000'];
    const reply = { reply: true } as const;
    expect(then({ ...marks('mangle', ...all), nat }, OUT, reply)).toEqual(['delivered own 5']);
    // before conntrack nobody knows
    expect(then({ ...marks('raw', ...all), nat }, OUT, reply)).toEqual(['delivered own 0']);
  });

  it('is not by its own address where that was translated on the way in', () => {
    const nat = ['INPUT -p tcp -j SNAT --to-source 10.0.0.6:50000'];
    expect(then({ ...marks('mangle', ...all.filter((one) => !one.includes('transparent'))), nat }, {})).toEqual([
      'delivered own 2',
    ]);
  });

  it('of IPv6 is not looked for under another address than the packet names (nf_sk_lookup_slow_v6)', () => {
    const save6 = (table: string): Readonly<Record<string, string>> => ({
      'ip6tables-save.txt': `*${table}\n-A PREROUTING -p tcp -m socket --nowildcard -j MARK --set-xmark 0x1/0x1\nCOMMIT\n*nat\n-A POSTROUTING -p tcp -j SNAT --to-source fd00::6\nCOMMIT\n`,
    });
    const first: Partial<Packet> = {
      ...OUT,
      src: { ip: 'fd00::5', port: 40000 },
      dst: { ip: '2001:db8::8', port: 443 },
    };
    const own = { 'ip6-route.json': (FILES['ip6-route.json'] ?? '').replaceAll('fd00::5', 'fd00::6') };
    const files = { ...FILES, ...save6('mangle') };
    const reply = later(files, first, false, true);
    expect(ends(namespaceOf({ ...files, ...own }).send(reply)).map((end) => end.split(' ').at(-1))).toEqual(['0']);
    const plain = {
      ...FILES,
      'ip6tables-save.txt': (files['ip6tables-save.txt'] ?? '').replace(/-A POSTROUTING.*/, ''),
    };
    expect(ends(namespaceOf(plain).send(later(plain, first, false, true)))).toEqual(['delivered own 1']);
  });

  it('a redirected one is met at the address that the packet still names', () => {
    const nat = ['PREROUTING -p tcp -j REDIRECT --to-ports 7070'];
    expect(then({ ...marks('mangle', ...all.filter((one) => !one.includes('transparent'))), nat }, {})).toEqual([
      'delivered own 2',
    ]);
  });
});

describe('questions with one thing wrong', () => {
  const netns = namespaceOf(FILES);
  const base = { id: 1, direction: 'in', iif: 'eth0', protocol: 'tcp', src: '10.0.0.9:4000', dst: '10.0.0.5:80' };
  const error = (over: object): string | null => {
    const answer = answerLine(netns, JSON.stringify({ ...base, ...over }));
    return 'error' in answer ? answer.error : null;
  };

  it.each([
    [{ src: '10.0.0.9' }, 'src'],
    [{ src: 'here:80' }, 'src'],
    [{ src: 5 }, 'src'],
    [{ dst: '10.0.0.5' }, 'dst'],
    [{ dst: 'there:80' }, 'dst'],
    [{ mark: -1 }, 'mark'],
    [{ mark: '0x100000000' }, 'mark'],
    [{ mark: 0.5 }, 'mark'],
    [{ connmark: 'odd' }, 'mark'],
    [{ connmark: 4294967296 }, 'mark'],
    [{ uid: 'root' }, 'uid'],
    [{ uid: 0.5 }, 'uid'],
    [{ gid: -1 }, 'gid'],
    [{ gid: 'wheel' }, 'gid'],
    [{ ctdir: 'BACK' }, 'ctdir'],
    [{ iif: '' }, 'iif'],
    [{ tcpFlags: ['SYN', 5] }, 'tcpFlags'],
    [{ tcpFlags: 5 }, 'tcpFlags'],
  ])('%j', (over, about) => {
    expect(error(over)).toContain(about);
  });

  it.each([
    [{ mark: '0xffffffff', connmark: 4294967295 }],
    [{ uid: 0, gid: 0 }],
    [{ uid: null, gid: null, mark: null, connmark: null, tcpFlags: null }],
    [{ tcpFlags: 'SYN,ACK' }],
    [{ tcpFlags: 'NONE' }],
    [{ src: '[::1]:80', dst: '[::1]:80' }],
  ])('%j is none', (over) => {
    expect(error(over)).toBeNull();
  });

  it('what the packet brings is what the answer shows', () => {
    const answer = answerLine(netns, JSON.stringify({ ...base, mark: '0xffffffff', connmark: 7 }));
    expect('error' in answer ? [] : answer.outcomes).toMatchObject([
      { verdict: 'delivered', mark: '0xffffffff', connmark: '0x7', socket: '0.0.0.0:80' },
    ]);
  });
});
