import type { Evidence, ParseProblem } from './evidence.js';
import { parseIp, unmapIp, type Ip } from './ip.js';

/** `ss -Hltnp` and `ss -Hlunp`, one after the other: the sockets that wait for connections or datagrams. */
export interface Sockets {
  readonly file: string;
  readonly sockets: readonly Socket[];
  readonly problems: readonly ParseProblem[];
}

export interface Socket {
  readonly protocol: 'tcp' | 'udp';
  /** As printed: `0.0.0.0:15006`, `*:8080`, `[::1]:80`. */
  readonly name: string;
  /** Null: any address. */
  readonly ip: Ip | null;
  /** Families that a wildcard takes: `*` is an IPv6 socket that takes IPv4 too. */
  readonly families: readonly (4 | 6)[];
  readonly port: number;
  readonly device: string | null;
  /** "python3 (pid 30585)". */
  readonly process: string | null;
  readonly evidence: Evidence;
}

/** Other states of sockets (sstate_name in iproute2 misc/ss.c, v6.1): `ss -a` prints them among the listeners. */
const CONNECTED: ReadonlySet<string> = new Set(
  'ESTAB SYN-SENT SYN-RECV FIN-WAIT-1 FIN-WAIT-2 TIME-WAIT CLOSE-WAIT LAST-ACK CLOSING NEW-SYN-RECV BOUND-INACTIVE'.split(
    ' ',
  ),
);

export function parseSockets(file: string, text: string): Sockets {
  const sockets: Socket[] = [];
  const problems: ParseProblem[] = [];
  let line = 0;
  for (const row of text.split('\n')) {
    line++;
    if (row.trim() === '' || /^(Netid|State)\s/.test(row)) continue;
    const words = row.trim().split(/\s+/);
    if (words[0] === 'tcp' || words[0] === 'udp') words.shift();
    const state = words[0];
    if (state !== 'LISTEN' && state !== 'UNCONN') {
      // connected sockets (ss -a) are no listeners; anything else is no line of ss
      if (!CONNECTED.has(state ?? '')) {
        problems.push({ file, line, message: `not a line of ss: ${row.slice(0, 120)}` });
      }
      continue;
    }
    // the peer's column tells that the local address was printed to its end
    const local = words[4] === undefined ? '' : (words[3] ?? '');
    const socket = socketOf(state === 'LISTEN' ? 'tcp' : 'udp', local, { file, line, text: row });
    const cut = /users:(?!\(\(.*\)\))/.test(row);
    if (cut) problems.push({ file, line, message: `the line ends in its list of processes: ${row.slice(0, 120)}` });
    if (socket === null) problems.push({ file, line, message: `no local address: ${row.slice(0, 120)}` });
    else sockets.push(socket);
  }
  return { file, sockets, problems };
}

function socketOf(protocol: 'tcp' | 'udp', local: string, evidence: Evidence): Socket | null {
  const cut = local.lastIndexOf(':');
  const port = Number(local.slice(cut + 1));
  if (cut < 0 || !/^\d+$/.test(local.slice(cut + 1)) || port > 65535) return null;
  let host = local.slice(0, cut);
  let device: string | null = null;
  const zone = host.indexOf('%');
  if (zone >= 0) {
    device = host.slice(zone + 1).replace(/\]$/, '');
    host = host.slice(0, zone);
  }
  host = host.replace(/^\[/, '').replace(/\]$/, '');
  const users = /users:\(\("((?:[^"\\]|\\.)*)",pid=(\d+)/.exec(evidence.text);
  const process = users === null ? null : `${users[1] ?? ''} (pid ${users[2] ?? ''})`;
  const common = { protocol, name: local, port, device, process, evidence };
  if (host === '*') return { ...common, ip: null, families: [4, 6] };
  const raw = parseIp(host);
  if (raw === null) return null;
  const ip = unmapIp(raw);
  const any = ip.family === 4 ? ip.value === 0 : ip.value === 0n;
  return { ...common, ip: any ? null : ip, families: [ip.family] };
}
