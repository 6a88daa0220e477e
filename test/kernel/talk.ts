import { KernelBench, type Flow } from './bench.js';

/** One packet of a conversation, as talk.py makes it: a frame on a wire, or what a socket of the namespace sends. */
export type Saying =
  | ({ readonly way: 'open'; readonly text: string; readonly connects: boolean } & Flow)
  | { readonly way: 'more' | 'answer'; readonly text: string }
  | { readonly way: 'close' }
  | WireSaying;

/** A frame that arrives. ICMP: `type`, and for an error `quotes`, the packet that it tells of (hexadecimal). */
export interface WireSaying {
  readonly way: 'wire';
  readonly iif: string;
  readonly protocol: Flow['protocol'];
  readonly src: string;
  readonly sport: number;
  readonly dst: string;
  readonly dport: number;
  readonly flags?: number;
  readonly seq?: number;
  readonly ack?: number;
  readonly text?: string;
  readonly type?: number;
  readonly code?: number;
  readonly quotes?: string;
}

/** Addresses, ports and what tells a packet from others, as parsed from its bytes. */
export interface Header {
  readonly proto: number;
  readonly src: string;
  readonly sport: number;
  readonly dst: string;
  readonly dport: number;
  readonly flags: number;
  readonly type: number | null;
  readonly code?: number;
  readonly id?: number;
  readonly seq?: number;
  readonly ack?: number;
  readonly length?: number;
  readonly text?: string;
  readonly quoted?: Header;
}

/** A packet at a hook: entering OUTPUT, at the end of INPUT, leaving POSTROUTING. */
export interface HookEvent extends Header {
  readonly hook: 'OUT' | 'IN' | 'POST';
  readonly mark: number;
  readonly connmark: number;
  readonly oif: string | null;
  readonly uid: number | null;
  readonly gid: number | null;
  readonly raw: string;
}

export interface Heard {
  readonly events: readonly HookEvent[];
  /** "udp 0.0.0.0 53", "tcp :: 80" (a connection), "client", "child": who took data. */
  readonly taken: readonly string[];
  readonly errno: number | null;
  /** Lines of conntrack -L -o extended, afterwards. */
  readonly connections: readonly string[];
}

/** The bench with the program that leads conversations. */
export class TalkBench extends KernelBench {
  constructor() {
    super('talk.py');
  }

  /** Forgets the conversation before: its sockets and all connections. */
  async begin(): Promise<void> {
    await this.ask({ begin: true });
  }

  async say(packet: Saying, slow: boolean): Promise<Heard> {
    return (await this.ask({ say: { ...packet, slow } })) as Heard;
  }
}
