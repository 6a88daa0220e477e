import { ACK, FIN, RST, SYN } from './flow.js';

/** The states of a TCP connection in the order of tcp_conntracks (linux net/netfilter/nf_conntrack_proto_tcp.c, v6.12). */
const STATES = [
  'NONE',
  'SYN_SENT',
  'SYN_RECV',
  'ESTABLISHED',
  'FIN_WAIT',
  'CLOSE_WAIT',
  'LAST_ACK',
  'TIME_WAIT',
  'CLOSE',
  'SYN_SENT2',
];

/** tcp_conntracks: a cross where the packet is invalid (sIV), in the order of STATES. */
const INVALID: Readonly<
  Record<'original' | 'reply', Readonly<Record<'syn' | 'synack' | 'fin' | 'ack' | 'rst', string>>>
> = {
  original: {
    syn: '..........',
    synack: 'xx.xxxxxx.',
    fin: 'xx.......x',
    ack: '.x.......x',
    rst: 'x.........',
  },
  reply: {
    syn: 'x.xxxxx.x.',
    synack: 'x.........',
    fin: 'xx.......x',
    ack: 'x.........',
    rst: 'x.........',
  },
};

/** Whether conntrack takes a segment with these flags for part of a connection in this state. */
export function isValidTcp(state: string, flags: number, original: boolean): boolean {
  const kind = kindOf(flags);
  const place = STATES.indexOf(state);
  if (kind === null) return false;
  return place < 0 || INVALID[original ? 'original' : 'reply'][kind][place] !== 'x';
}

/** get_conntrack_index; null: none of the flags that count. */
function kindOf(flags: number): 'syn' | 'synack' | 'fin' | 'ack' | 'rst' | null {
  if ((flags & RST) !== 0) return 'rst';
  if ((flags & SYN) !== 0) return (flags & ACK) !== 0 ? 'synack' : 'syn';
  if ((flags & FIN) !== 0) return 'fin';
  return (flags & ACK) !== 0 ? 'ack' : null;
}
