import type { RuleSet } from './bench.js';
import { ipRule, restoreText, serviceRules } from './generate/iptables.js';
import { nftPieces, nftText, type NftPiece } from './generate/nft.js';
import { addressLines, routingLines, sysctlLines } from './generate/routing.js';
import type { Random } from './random.js';

/** Random rule sets in pieces, so that a failing one can be made smaller by leaving pieces out. */
export interface Pieces {
  readonly seed: number;
  /** "raw PREROUTING -p tcp …": table, then the words after -A. */
  readonly rules4: readonly string[];
  readonly rules6: readonly string[];
  readonly policies: readonly string[];
  readonly nft: readonly NftPiece[];
  readonly shell: readonly string[];
  /** Sets beside those that every rule set has. */
  readonly ipset?: string;
}

const IPSETS = `create ips4 hash:ip
add ips4 10.244.1.5
add ips4 203.0.113.5
add ips4 10.1.0.77
create nets4 hash:net
add nets4 10.244.0.0/16
add nets4 10.244.2.0/24 nomatch
add nets4 172.18.0.0/16
create ipport4 hash:ip,port
add ipport4 10.244.1.5,tcp:8080
add ipport4 10.96.0.10,udp:53
add ipport4 10.244.2.9,tcp:80
create netport4 hash:net,port
add netport4 10.0.0.0/8,tcp:80
add netport4 10.244.1.0/24,tcp:80 nomatch
add netport4 203.0.113.0/24,udp:53
add netport4 10.1.0.0/16,tcp:8080-8081
create triple4 hash:ip,port,ip
add triple4 10.244.1.5,tcp:80,10.244.1.5
add triple4 10.1.0.5,tcp:8080,10.1.0.5
add triple4 10.96.0.10,udp:53,10.96.0.10
create ipportnet4 hash:ip,port,net
add ipportnet4 10.244.1.5,tcp:80,10.0.0.0/8
add ipportnet4 10.244.1.5,tcp:80,10.1.0.0/16 nomatch
add ipportnet4 10.1.0.5,tcp:8080-8081,0.0.0.0/1
create netiface4 hash:net,iface
add netiface4 10.244.0.0/16,eth0
add netiface4 0.0.0.0/0,eth1
add netiface4 10.1.0.0/24,eth1 nomatch
create timed4 hash:ip timeout 60000 comment
add timed4 10.244.1.5 timeout 50000 comment "x"
add timed4 8.8.8.8 timeout 0
create masked4 hash:ip netmask 24
add masked4 10.244.1.0
create range4 bitmap:ip range 10.1.0.0-10.1.0.255
add range4 10.1.0.5
add range4 10.1.0.70-10.1.0.80
create ports bitmap:port range 0-65535
add ports 80
add ports 8000-9000
create spare hash:ip
create list4 list:set
add list4 ips4
add list4 nets4
create ips6 hash:ip family inet6
add ips6 fd00:244:1::5
add ips6 fd00:1::77
create nets6 hash:net family inet6
add nets6 fd00:244::/32
add nets6 fd00:244:1::/64 nomatch
create ipport6 hash:ip,port family inet6
add ipport6 fd00:244:1::5,tcp:80
create netport6 hash:net,port family inet6
add netport6 fd00::/16,tcp:80
add netport6 fd00:1::/64,tcp:80 nomatch
create triple6 hash:ip,port,ip family inet6
add triple6 fd00:1::5,tcp:80,fd00:1::5
create list6 list:set
add list6 ips4
add list6 ips6
`;

export function generate(random: Random, seed: number): Pieces {
  const style = random.next();
  const rules4: string[] = [];
  const rules6: string[] = [];
  if (style < 0.7) {
    for (let at = 0, count = 4 + random.int(30); at < count; at++) rules4.push(ipRule(random, 4));
    for (let at = 0, count = random.int(18); at < count; at++) rules6.push(ipRule(random, 6));
    if (random.chance(0.1)) rules4.push(...serviceRules(random));
  }
  const policies = random.chance(0.2)
    ? [random.pick(['filter INPUT', 'filter FORWARD', 'filter OUTPUT', 'mangle INPUT', 'raw PREROUTING', 'nat OUTPUT'])]
    : [];
  const nft = style > 0.5 ? nftPieces(random) : [];
  return {
    seed,
    rules4,
    rules6,
    policies,
    nft,
    shell: [...sysctlLines(random), ...addressLines(random), ...routingLines(random)],
  };
}

export function ruleSetOf(pieces: Pieces): RuleSet {
  return {
    ipset: IPSETS + (pieces.ipset ?? ''),
    iptables: restoreText(pieces.rules4, pieces.policies),
    ip6tables: restoreText(pieces.rules6, []),
    nft: nftText(pieces.nft),
    shell: shellText(pieces.shell),
  };
}

/** Many settings in one command: each process costs more than the setting. */
function shellText(lines: readonly string[]): string {
  const head = 'sysctl -q -w ';
  const settings = lines.filter((line) => line.startsWith(head)).map((line) => line.slice(head.length));
  const others = lines.filter((line) => !line.startsWith(head));
  return [...(settings.length === 0 ? [] : [head + settings.join(' ')]), ...others].join('\n');
}
