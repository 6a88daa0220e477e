import { iptables, nftables, several, to } from './battery.js';
import { IN, IN6, type KernelCase } from './case.js';

/** Rules that name the outgoing device, which few look-ups know. */
const BY_OIF = ['eth0', 'eth1', 'lo'].map((device, at) => `ip -6 rule add pref ${500 + at} oif ${device} to `);

/** What mutants showed to be told by no case: rules by outgoing device. */
export const LEFTOVER_EDGES: readonly KernelCase[] = [
  ...BY_OIF.flatMap((rule) =>
    several(
      `IPv6, ${rule}`,
      ['eth0', 'eth1'].flatMap((iif) => [
        ...to(
          { ...IN6, iif, protocol: 'udp', dport: 5353 },
          'fe80::77',
          'ff02::1',
          'ff02::fb',
          'ff05::77',
          'fd00:244:1::77',
        ),
        ...to({ ...IN6, iif, src: 'fe80::77' }, 'fd00:1::5', 'fd00:1::6'),
      ]),
      {
        rules6: ['filter INPUT -p tcp -j REJECT', 'filter FORWARD -p tcp -j REJECT'],
        shell: ['fe80::/64', 'ff02::/16', 'ff05::/16', 'fd00:244:1::/64'].map((net) => `${rule}${net} unreachable`),
      },
    ),
  ),
  ...['eth0', 'eth1'].flatMap((device) => [
    ...iptables('raw PREROUTING', {
      name: `rpfilter where a rule names ${device}`,
      flows: ['eth0', 'eth1'].flatMap((iif) =>
        ['fe80::77', 'fd00:1::77', 'fd00:244:1::77', '2001:db8::9'].map((src) => ({ ...IN6, iif, src })),
      ),
      tests: ['', ' --loose', ' --accept-local'].flatMap((options) => [
        `-m rpfilter${options}`,
        `-m rpfilter${options} --invert`,
      ]),
      pieces: {
        shell: ['fe80::/64', 'fd00::/16', '2001:db8::/32'].map(
          (net) => `ip -6 rule add pref 500 oif ${device} to ${net} unreachable`,
        ),
      },
    }),
    ...nftables('pre_fib', 'type filter hook prerouting priority -150; policy accept;', {
      name: `fib of IPv6 where a rule names ${device}`,
      flows: ['eth0', 'eth1'].flatMap((iif) =>
        ['fe80::77', 'fd00:1::77', 'fd00:244:1::77', '2001:db8::9'].map((src) => ({ ...IN6, iif, src })),
      ),
      tests: ['saddr', 'saddr . iif'].flatMap((what) => [
        `fib ${what} type unicast`,
        `fib ${what} type unreachable`,
        `fib ${what} oif eth0`,
        `fib ${what} oif eth1`,
        `fib ${what} oif 0`,
      ]),
      pieces: {
        shell: ['fe80::/64', 'fd00::/16', '2001:db8::/32'].map(
          (net) => `ip -6 rule add pref 500 oif ${device} to ${net} unreachable`,
        ),
      },
    }),
    ...several(
      `IPv4, a rule names ${device}`,
      ['eth0', 'eth1'].flatMap((iif) => to({ ...IN, iif, src: '10.244.9.9' }, '10.1.0.77', '10.244.1.77', '10.1.0.5')),
      { shell: [`ip rule add pref 500 oif ${device} to 10.0.0.0/8 unreachable`] },
    ),
  ]),
];
