import type { KernelCase } from './cases/case.js';
import { ADDRESS_TYPES } from './cases/battery-addresses.js';
import { TOS_CASES } from './cases/tos.js';
import { ICMP_REDIRECTS } from './cases/icmp-redirects.js';
import { ICMP_KINDS } from './cases/icmp.js';
import { IPTABLES_TESTS } from './cases/battery-iptables.js';
import { NFT_TESTS } from './cases/battery-nft.js';
import { SENDERS } from './cases/battery-senders.js';
import { MARKS } from './cases/marks.js';
import { EDGES_NAT } from './cases/edges-nat.js';
import { TPROXY } from './cases/tproxy.js';
import { TRANSLATIONS } from './cases/translations.js';
import { CHAINS } from './cases/chains.js';
import { POLICY_RULES } from './cases/rules.js';
import { REJECTIONS } from './cases/rejections.js';
import { SOURCES } from './cases/sources.js';
import { CORNERS } from './cases/corners.js';
import { LEFTOVERS } from './cases/leftovers.js';
import { CONNTRACK } from './cases/conntrack.js';
import { NAT } from './cases/nat.js';
import { ROUTING } from './cases/routing.js';
import { EXPRESSIONS } from './cases/expressions.js';
import { GROUPS } from './cases/groups.js';
import { MATCHES } from './cases/matches.js';
import { SETS } from './cases/sets.js';
import { SET_EDGES } from './cases/edges-sets.js';
import { SET_CHANGES } from './cases/edges-set-changes.js';
import { LOOKUP_EDGES } from './cases/edges-lookups.js';
import { ROUTING_EDGES } from './cases/edges-routing.js';
import { LEFTOVER_EDGES } from './cases/edges-leftovers.js';
import { NFT_EDGES } from './cases/edges-nft.js';
import { SENDER_EDGES } from './cases/edges-senders.js';

/** All cases made by hand, each against the kernel of the machine (cases.test.ts). */
export const CASES: readonly KernelCase[] = [
  ...CONNTRACK,
  ...NAT,
  ...ROUTING,
  ...GROUPS,
  ...MATCHES,
  ...SETS,
  ...EXPRESSIONS,
  ...ADDRESS_TYPES,
  ...IPTABLES_TESTS,
  ...NFT_TESTS,
  ...SENDERS,
  ...MARKS,
  ...TPROXY,
  ...TRANSLATIONS,
  ...CHAINS,
  ...SOURCES,
  ...POLICY_RULES,
  ...REJECTIONS,
  ...CORNERS,
  ...LEFTOVERS,
  ...EDGES_NAT,
  ...SET_EDGES,
  ...ROUTING_EDGES,
  ...LEFTOVER_EDGES,
  ...SENDER_EDGES,
  ...ICMP_KINDS,
  ...ICMP_REDIRECTS,
  ...TOS_CASES,
  ...NFT_EDGES,
  ...LOOKUP_EDGES,
  ...SET_CHANGES,
];
