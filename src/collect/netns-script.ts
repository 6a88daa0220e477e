import { isIP } from 'node:net';

/**
 * One POSIX shell script per node that prints the state of all wanted network namespaces in one go. It is the text of the
 * exec call, so it stays short; it only reads. Each part stands between a line `<mark> <target> <file>` and a line
 * `<mark> = <exit status>`, on both output streams, so that what a tool complains of is known per file.
 */

/** What one namespace prints: name of the part (a file of the contract, but for the back-ends of iptables) → commands. */
const PARTS: readonly (readonly [file: string, command: string])[] = [
  ['iptables-nft', 'if command -v iptables-nft-save >/dev/null;then iptables-nft-save -c;else iptables-save -c;fi'],
  ['ip6tables-nft', 'if command -v ip6tables-nft-save >/dev/null;then ip6tables-nft-save -c;else ip6tables-save -c;fi'],
  // reading the legacy tables only where there are any: asking for them would create them
  ['iptables-legacy', '[ ! -s /proc/net/ip_tables_names ]||iptables-legacy-save -c'],
  ['ip6tables-legacy', '[ ! -s /proc/net/ip6_tables_names ]||ip6tables-legacy-save -c'],
  ['nft-ruleset.json', 'nft -j list ruleset'],
  ['ipset-save.txt', 'ipset save'],
  ['ip-rule.json', 'ip -j rule'],
  ['ip6-rule.json', 'ip -6 -j rule'],
  ['ip-route.json', 'ip -j route show table all'],
  ['ip6-route.json', 'ip -6 -j route show table all'],
  ['ip-address.json', 'ip -j -d address'],
  ['sysctl.txt', "sysctl -a -r '^net\\.(ipv4|ipv6)\\.'"],
  // no process names from here: with PROC_ROOT=/host/proc ss would leave netlink for /proc/net, which tells less
  ['sockets.txt', 'ss -Hltnp&&ss -Hlunp'],
  // only devices that carry programs: a node has hundreds that do not
  [
    'tc.txt',
    'q=$(tc qdisc show)||exit;echo "$q";echo "$q"|while read -r _ k _ _ d _;do case $k in clsact|ingress)for w in ingress egress;do tc -s filter show dev "$d" $w;done;;esac;done',
  ],
];

/** Only a capture reads it: what exists already decides nothing about a new connection. */
const CONNTRACK = ['conntrack.txt', 'conntrack -L -o extended'] as const;

/** The same without a shell, one exec each: for the namespace that the container itself is in. */
export const DIRECT: readonly (readonly [name: string, command: readonly string[]])[] = [
  ['iptables-nft', ['iptables-save', '-c']],
  ['ip6tables-nft', ['ip6tables-save', '-c']],
  ['nft-ruleset.json', ['nft', '-j', 'list', 'ruleset']],
  ['ipset-save.txt', ['ipset', 'save']],
  ['ip-rule.json', ['ip', '-j', 'rule']],
  ['ip6-rule.json', ['ip', '-6', '-j', 'rule']],
  ['ip-route.json', ['ip', '-j', 'route', 'show', 'table', 'all']],
  ['ip6-route.json', ['ip', '-6', '-j', 'route', 'show', 'table', 'all']],
  ['ip-address.json', ['ip', '-j', '-d', 'address']],
  ['sysctl.txt', ['sysctl', '-a', '-r', '^net\\.(ipv4|ipv6)\\.']],
  ['sockets.txt', ['ss', '-Hltnp']],
];

/**
 * A namespace to print: the node's own, the one that the container runs in, or the one that holds a pod's address. `id`:
 * letters and digits, to tell the answers apart.
 */
export type Target =
  | { readonly kind: 'node'; readonly id: string }
  | { readonly kind: 'own'; readonly id: string }
  | { readonly kind: 'pod'; readonly id: string; readonly ips: readonly string[] };

interface ScriptOptions {
  readonly mark: string;
  readonly conntrack: boolean;
}

function inner(options: ScriptOptions): string {
  const parts = options.conntrack ? [...PARTS, CONNTRACK] : PARTS;
  // every part in a subshell of its own: `exit` and variables stay in it
  const lines = parts.map(([file, command]) => `b ${file};(${command});e $?`);
  return [
    'M=$1;T=$2',
    'b(){ echo "$M $T $1";echo "$M $T $1" >&2;}',
    'e(){ echo;echo "$M = $1";echo >&2;echo "$M = $1" >&2;}',
    ...lines,
  ].join('\n');
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/**
 * The command of an exec. Namespaces of pods are found by their address: first among the names that CNI plugins leave in
 * /var/run/netns, then among those of all processes; /host is where the istio-cni pod mounts both of the node.
 */
export function netnsCommand(targets: readonly Target[], options: ScriptOptions): readonly string[] {
  const pods = targets.filter((t) => t.kind === 'pod');
  const lines = [
    `I=${quote(inner(options))}`,
    `M=${options.mark}`,
    'P=/host/proc;[ -d $P ]||P=/proc',
    'N=/host/var/run/netns;[ -d $N ]||N=/var/run/netns',
    'x(){ echo "$M ? $1 $2";}',
  ];
  for (const target of targets) {
    if (target.kind === 'own') lines.push(`sh -c "$I" sh $M ${target.id}`);
    // ≤ 1.25 the agent is in the node's namespace itself; later it has the node's /proc and may enter
    if (target.kind === 'node')
      lines.push(`nsenter --net=$P/1/ns/net sh -c "$I" sh $M ${target.id}||x ${target.id} $?`);
  }
  if (pods.length > 0) {
    // what the API calls an address becomes part of a script: nothing but an address may
    const wanted = pods.flatMap((pod) => pod.ips.filter(isIP).map((ip) => `${ip}=${pod.id}`)).join(' ');
    lines.push(
      `W=" ${wanted} ";L=${pods.length};H=$(readlink $P/1/ns/net)`,
      // $1: a namespace; prints it where it holds a wanted address, and takes the pod off the list
      's(){ for a in $(nsenter --net="$1" ip -o addr show 2>/dev/null|sed -n "s/.* inet6\\{0,1\\} \\([^ /]*\\).*/\\1/p");do',
      'case "$W" in *" $a="*) t=${W#*" $a="};t=${t%% *};W=$(echo "$W"|sed "s/ [^ ]*=$t / /g;s/ [^ ]*=$t / /g");L=$((L-1))',
      'nsenter --net="$1" sh -c "$I" sh $M "$t";return;;esac;done;}',
      'for f in $N/*;do [ $L -gt 0 ]||break;[ -e "$f" ]&&s "$f";done',
      'if [ $L -gt 0 ];then D=" $H ";for p in $P/[0-9]*;do [ $L -gt 0 ]||break;k=$(readlink $p/ns/net 2>/dev/null)||continue',
      'case "$D" in *" $k "*) continue;;esac;D="$D$k ";s $p/ns/net;done;fi',
      'for w in $W;do x "${w#*=}" 404;done',
    );
  }
  lines.push('exit 0');
  return ['sh', '-c', lines.join('\n')];
}

/** What one part printed. */
export interface Part {
  readonly stdout: string;
  readonly stderr: string;
  readonly exit: number;
}

export interface ScriptOutput {
  /** target id → name of the part → what it printed. */
  readonly parts: ReadonlyMap<string, ReadonlyMap<string, Part>>;
  /** Targets that could not be entered (exit status of nsenter) or found (404). */
  readonly failed: ReadonlyMap<string, number>;
}

/** Reads the output back. Parts whose end is missing (the stream was cut) are left out. */
export function parseOutput(stdout: string, stderr: string, mark: string): ScriptOutput {
  const out = sections(stdout, mark);
  const err = sections(stderr, mark);
  const parts = new Map<string, Map<string, Part>>();
  for (const [key, section] of out) {
    const [target = '', name = ''] = key.split(' ');
    const of = parts.get(target) ?? new Map<string, Part>();
    of.set(name, { stdout: section.text, stderr: err.get(key)?.text ?? '', exit: section.exit });
    parts.set(target, of);
  }
  const failed = new Map<string, number>();
  for (const line of stdout.split('\n')) {
    if (!line.startsWith(`${mark} ? `)) continue;
    const [, , target = '', code = ''] = line.split(' ');
    failed.set(target, Number(code));
  }
  return { parts, failed };
}

function sections(text: string, mark: string): Map<string, { readonly text: string; readonly exit: number }> {
  const found = new Map<string, { text: string; exit: number }>();
  const end = `\n${mark} = `;
  let at = 0;
  for (;;) {
    const begin = text.indexOf(`${mark} `, at);
    if (begin < 0) return found;
    const lineEnd = text.indexOf('\n', begin);
    if (lineEnd < 0) return found;
    const head = text.slice(begin + mark.length + 1, lineEnd);
    at = lineEnd + 1;
    if (head.startsWith('? ') || head.startsWith('= ')) continue;
    // an empty part has nothing between its head and the newline that the end adds
    const stop = text.indexOf(end, lineEnd);
    if (stop < 0) return found;
    const body = text.slice(lineEnd + 1, stop);
    const statusEnd = text.indexOf('\n', stop + end.length);
    const exit = Number(text.slice(stop + end.length, statusEnd < 0 ? undefined : statusEnd));
    found.set(head, { text: body, exit });
    at = statusEnd < 0 ? text.length : statusEnd + 1;
  }
}
