import { execFileSync, spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Files } from '../netns/netns-files.js';

/** Where real packets meet real rules: two network namespaces of this machine, and the program (probe/) that sends and sees. */

/** A rule set as it is loaded; every part is optional. */
export interface RuleSet {
  readonly iptables?: string;
  readonly ip6tables?: string;
  readonly nft?: string;
  readonly nftJson?: string;
  readonly ipset?: string;
  /** Shell commands: ip rule, ip route, sysctl. */
  readonly shell?: string;
}

export interface Flow {
  readonly direction: 'in' | 'out';
  readonly iif: string | null;
  readonly protocol: 'tcp' | 'udp' | 'icmp';
  /** Of an `out` flow, 0.0.0.0 and :: leave the choice to the kernel. */
  readonly src: string;
  readonly sport: number;
  readonly dst: string;
  readonly dport: number;
  readonly mark: number;
  readonly uid: number;
  readonly gid: number;
  /** Of ICMP; missing: an echo request. An error quotes nothing that could be read. */
  readonly type?: number;
  readonly code?: number;
}

export interface Seen {
  readonly verdict: string;
  readonly src?: readonly [string, number];
  readonly dst?: readonly [string, number];
  readonly oif?: string | null;
  readonly mark?: number;
  readonly connmark?: number;
}

export type Loaded = { readonly files: Files } | { readonly refused: string };

const LISTENERS = [
  ['tcp', '0.0.0.0', 8080],
  ['tcp', '0.0.0.0', 15001],
  ['tcp', '0.0.0.0', 15006],
  ['tcp', '127.0.0.1', 9090],
  ['tcp', '10.244.1.5', 7070],
  ['tcp', 'fd00:244:1::5', 7070],
  ['tcp', '::', 80],
  ['tcp', '::', 15053],
  ['udp', '0.0.0.0', 53],
  ['udp', '0.0.0.0', 15006],
  ['udp', '127.0.0.1', 9053],
  ['udp', '::', 15053],
  ['udp', '::', 5353],
] as const;

/** Why real packets cannot be sent here, null where they can: tests are then skipped, and said to be, but in CI they fail. */
export function obstacleHere(): string | null {
  const why = whyNot();
  if (why === null) return null;
  if (process.env['CI'] === 'true') throw new Error(`the kernel tests cannot run here: ${why}`);
  process.stderr.write(`\n  KERNEL TESTS SKIPPED: ${why}\n\n`);
  return why;
}

function whyNot(): string | null {
  if (process.platform !== 'linux') return 'this is not Linux';
  if (process.getuid?.() !== 0) return 'not root';
  for (const tool of ['ip', 'iptables-nft-restore', 'ipset', 'nft', 'python3', 'conntrack', 'ss', 'sysctl']) {
    try {
      execFileSync('sh', ['-c', `command -v ${tool}`]);
    } catch {
      return `${tool} is not installed`;
    }
  }
  const name = `mp-try-${process.pid}`;
  try {
    execFileSync('ip', ['netns', 'add', name], { stdio: 'pipe' });
    execFileSync('ip', ['netns', 'del', name], { stdio: 'pipe' });
  } catch {
    return 'network namespaces cannot be made';
  }
  return null;
}

const TOPOLOGY = `
set -e
ip netns add $A; ip netns add $B
ip -n $A link add eth0 type veth peer name p0 netns $B
ip -n $A link add eth1 type veth peer name p1 netns $B
ip netns exec $A sysctl -q -w net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.eth0.accept_dad=0 net.ipv6.conf.eth1.accept_dad=0
for d in lo eth0 eth1; do ip -n $A link set $d up; done
ip -n $A link set eth0 arp off; ip -n $A link set eth1 arp off
for d in p0 p1; do ip -n $B link set $d up; ip -n $B link set $d arp off; done
ip -n $A addr add 10.244.1.5/24 dev eth0
ip -n $A addr add 10.1.0.5/24 dev eth1
ip -n $A addr add 172.18.0.3/16 dev eth1
ip -n $A addr add fd00:244:1::5/64 dev eth0 nodad
ip -n $A addr add fd00:1::5/64 dev eth1 nodad
ip -n $A route add default via 10.244.1.1 dev eth0
ip -n $A -6 route add default via fd00:244:1::1 dev eth0
ip netns exec $A sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0 net.ipv4.conf.eth1.rp_filter=0 net.ipv4.conf.default.rp_filter=0 net.ipv4.tcp_synack_retries=0 net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0 net.ipv4.icmp_msgs_per_sec=100000
`;

/** Two namespaces joined by two veth pairs, and the program in the first that sends and listens. */
export class KernelBench {
  private readonly waiting: ((line: string) => void)[] = [];
  private readonly names = [`mp-a-${process.pid}`, `mp-b-${process.pid}`] as const;
  private readonly program: string;
  private child: ChildProcessWithoutNullStreams | null = null;
  private stderr = '';

  /** `program`: what runs in the namespace; it must know all that probe.py knows. */
  constructor(program = 'probe.py') {
    this.program = program;
  }

  /** Makes the namespaces, and listens in the first. */
  async start(): Promise<void> {
    const [a, b] = this.names;
    execFileSync('sh', ['-c', TOPOLOGY], { env: { ...process.env, A: a, B: b }, stdio: ['ignore', 'ignore', 'pipe'] });
    const probe = fileURLToPath(new URL(`./probe/${this.program}`, import.meta.url));
    this.child = spawn('ip', ['netns', 'exec', a, 'python3', '-B', probe, b]);
    this.child.stderr.on('data', (data: Buffer) => (this.stderr += data.toString()));
    createInterface({ input: this.child.stdout }).on('line', (line) => this.waiting.shift()?.(line));
    this.child.on('exit', () => {
      this.child = null;
      for (const wake of this.waiting.splice(0)) wake('');
    });
    await this.ask({ listen: LISTENERS });
  }

  protected ask(command: unknown): Promise<unknown> {
    const { child } = this;
    if (child === null) throw new Error(`no probe is running: ${this.stderr.slice(-2000)}`);
    return new Promise((resolve, reject) => {
      this.waiting.push((line) => {
        if (line === '') reject(new Error(`the probe ended: ${this.stderr.slice(-2000)}`));
        else resolve(JSON.parse(line));
      });
      child.stdin.write(`${JSON.stringify(command)}\n`);
    });
  }

  async load(rules: RuleSet): Promise<Loaded> {
    return (await this.ask(rules)) as Loaded;
  }

  /** The files with rules that the tools take. */
  async mustLoad(rules: RuleSet): Promise<Files> {
    const loaded = await this.load(rules);
    if ('refused' in loaded) throw new Error(loaded.refused);
    return loaded.files;
  }

  /** `slow`: waits long enough for a busy machine. */
  async send(flows: readonly Flow[], slow = false): Promise<readonly Seen[]> {
    const answer = (await this.ask({ flows: flows.map((flow) => ({ ...flow, slow })) })) as { observed: Seen[] };
    return answer.observed;
  }

  close(): void {
    this.child?.stdin.end();
    this.child?.kill();
    for (const name of this.names) {
      try {
        execFileSync('ip', ['netns', 'del', name], { stdio: 'pipe' });
      } catch {
        // already gone
      }
    }
  }
}
