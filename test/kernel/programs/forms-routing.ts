import { IN, IN6, OUT } from '../cases/case.js';
import type { Flow, RuleSet } from '../bench.js';
import type { Form } from './program.js';

/** Routes that ask for a source, next hops of the other family, points to points, device groups. */
const shell = (...lines: readonly string[]): RuleSet => ({ shell: lines.join('\n') });
const MAIN = 'table main proto 99';
const SENT: Flow = { ...OUT, src: '10.244.1.5', dst: '203.0.113.5' };
const UNBOUND: Flow = { ...SENT, src: '0.0.0.0' };
const THROUGH: Flow = { ...IN, dst: '203.0.113.5' };
const SENT6: Flow = { ...OUT, src: 'fd00:244:1::5', dst: '2001:db8::1' };
const UNBOUND6: Flow = { ...SENT6, src: '::' };
const THROUGH6: Flow = { ...IN6, dst: '2001:db8::1' };
const SIX: readonly Flow[] = [
  SENT6,
  UNBOUND6,
  THROUGH6,
  { ...SENT6, src: 'fd00:1::5' },
  { ...THROUGH6, src: 'fd00:244:1::77' },
  { ...THROUGH6, src: '2001:db8:5::1' },
];
const FOUR: readonly Flow[] = [SENT, UNBOUND, THROUGH];

const ONE = 'from fd00:1::/64 via fd00:1::9 dev eth1';
const OTHER = 'via fd00:244:1::9 dev eth0';

export const ROUTING_FORMS: readonly Form[] = [
  {
    name: 'a route of IPv6 that asks for a source',
    rules: shell(`ip -6 route add 2001:db8::/32 ${ONE} ${MAIN}`),
    flows: SIX,
  },
  {
    name: 'a default route that asks for a source',
    rules: shell(`ip -6 route add default ${ONE} metric 10 ${MAIN}`),
    flows: SIX,
  },
  {
    name: 'beside it one of the same prefix that does not',
    rules: shell(
      `ip -6 route add 2001:db8::/48 ${ONE} ${MAIN}`,
      `ip -6 route add 2001:db8::/48 ${OTHER} ${MAIN}`,
      `ip -6 route add 2001:db8::/32 via fd00:1::8 dev eth1 ${MAIN}`,
    ),
    flows: SIX,
  },
  {
    name: 'two sources, one in the other',
    rules: shell(
      `ip -6 route add 2001:db8::/48 ${ONE} ${MAIN}`,
      `ip -6 route add 2001:db8::/48 from fd00::/16 ${OTHER} ${MAIN}`,
    ),
    flows: SIX,
  },
  {
    name: 'a longer prefix without a source',
    rules: shell(`ip -6 route add 2001:db8::/48 ${ONE} ${MAIN}`, `ip -6 route add 2001:db8::/64 ${OTHER} ${MAIN}`),
    flows: SIX,
  },
  {
    name: 'unreachable for one source',
    rules: shell(`ip -6 route add unreachable default from fd00:1::/64 metric 10 ${MAIN}`),
    flows: SIX,
  },
  {
    name: 'a gateway of IPv6 for IPv4',
    rules: {
      ...shell(`ip route add 203.0.113.0/24 via inet6 fd00:1::9 dev eth1 ${MAIN}`),
      iptables: '*nat\n-A POSTROUTING -j MASQUERADE\nCOMMIT\n',
    },
    flows: FOUR,
  },
  {
    name: 'a gateway on the link that no address covers',
    rules: {
      ...shell(`ip route add 203.0.113.0/24 via 169.254.1.1 dev eth1 onlink ${MAIN}`),
      iptables: '*nat\n-A POSTROUTING -j MASQUERADE\nCOMMIT\n',
    },
    flows: FOUR,
  },
  {
    name: 'a table that throws',
    rules: shell(
      'ip route add throw 203.0.113.0/24 table 101 proto 99',
      'ip route add default via 10.1.0.9 dev eth1 table 101 proto 99',
      'ip rule add pref 500 lookup 101',
    ),
    flows: [...FOUR, { ...SENT, dst: '8.8.8.8' }],
  },
  {
    name: 'a type of service that no packet has',
    rules: shell(
      `ip route add 203.0.113.0/24 tos 0x10 via 10.1.0.9 dev eth1 ${MAIN}`,
      'ip rule add pref 500 tos 0x10 prohibit',
    ),
    flows: FOUR,
  },
  ...(['7', 'default'] as const).map((group): Form => ({
    name: `routes of device group ${group} are passed over`,
    rules: shell(
      'ip link set eth1 group 7',
      'ip route add default via 10.1.0.9 dev eth1 table 101 proto 99',
      `ip rule add pref 500 lookup 101 suppress_ifgroup ${group}`,
    ),
    flows: FOUR,
  })),
  { name: 'a rule for VRFs where there is none', rules: shell('ip rule add pref 1000 l3mdev'), flows: [...FOUR, IN] },
  {
    name: 'an anycast route that somebody added',
    rules: shell(
      'ip -6 route replace anycast fd00:96::a dev eth1 table 102 proto 99',
      'ip -6 rule add pref 50 lookup 102',
    ),
    flows: [
      { ...SENT6, src: 'fd00:1::5', dst: 'fd00:96::a' },
      { ...UNBOUND6, dst: 'fd00:96::a' },
      { ...THROUGH6, dst: 'fd00:96::a' },
    ],
  },
  {
    name: 'a mark that must not be there',
    rules: shell(
      'ip route add default via 10.1.0.9 dev eth1 table 101 proto 99',
      'ip rule add pref 500 fwmark 0/0xff lookup 101',
    ),
    flows: [SENT, { ...SENT, mark: 1 }, { ...SENT, mark: 0x100 }],
  },
];
