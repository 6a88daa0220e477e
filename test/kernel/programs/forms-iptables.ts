import { IN } from '../cases/case.js';
import type { Flow, RuleSet } from '../bench.js';
import type { Form } from './program.js';

/** What iptables-save prints in odd ways, and sets that rules change while a packet passes. */
const ALL: readonly Flow[] = [IN, { ...IN, protocol: 'udp' }, { ...IN, protocol: 'icmp' }];
const MARK = '-j MARK --set-mark 0x40';

function prerouting(ipset: string, ...rules: readonly string[]): RuleSet {
  return { ipset, iptables: `*mangle\n${rules.map((rule) => `-A PREROUTING ${rule}\n`).join('')}COMMIT\n` };
}

export const IPTABLES_FORMS: readonly Form[] = [
  { name: 'no packet is a fragment', rules: prerouting('', '-f -j DROP', `! -f ${MARK}`), flows: ALL },
  ...[IN, ...ALL.slice(1, 2)].map((flow): Form => ({
    name: `a chain of iptables added after the table of another program, ${flow.protocol}`,
    rules: {
      shell: `iptables-nft -t nat -A POSTROUTING -j RETURN
nft add table ip other
nft 'add chain ip other p { type nat hook prerouting priority -100; }'
nft add rule ip other p dnat to 10.244.1.5
iptables-nft -t nat -A PREROUTING -j DNAT --to-destination 10.1.0.77`,
    },
    flows: [flow],
    open: true,
  })),
  {
    name: 'no port of a bridge',
    rules: prerouting(
      '',
      '-m physdev --physdev-in veth1 -j DROP',
      `-m physdev ! --physdev-in veth1 ${MARK}`,
      '-m physdev ! --physdev-in veth1 --physdev-is-in -j DROP',
      '-m physdev --physdev-is-in -j DROP',
    ),
    flows: ALL,
  },
  {
    name: 'comments that look like options',
    rules: prerouting(
      '',
      `-m comment --comment -j-foo -p tcp ${MARK}`,
      `-m comment --comment "-j" -p udp ${MARK}`,
      '-p tcp -j LOG --log-prefix "-A"',
      `-m comment --comment "! -p tcp" -p icmp ${MARK}`,
    ),
    flows: ALL,
  },
  {
    name: 'added by -j SET, then matched',
    rules: prerouting('create s hash:ip\n', '-p tcp -j SET --add-set s src', `-m set --match-set s src ${MARK}`),
    flows: [IN],
  },
  {
    name: 'deleted by -j SET, then matched',
    rules: prerouting(
      'create s hash:ip\nadd s 10.244.1.1\n',
      '-p tcp -j SET --del-set s src',
      `-m set --match-set s src ${MARK}`,
    ),
    flows: [IN],
  },
  {
    name: 'a mark from a set that does not hold the packet',
    rules: prerouting('create s hash:ip skbinfo\nadd s 10.244.1.9 skbmark 0x77\n', '-j SET --map-set s src --map-mark'),
    flows: ALL,
  },
];
