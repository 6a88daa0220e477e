import { parseConntrack } from '../formats/conntrack.js';
import type { ParseProblem, Unknown } from '../formats/evidence.js';
import { formatIp } from '../formats/ip.js';
import { parseIpAddresses, type IpDevice } from '../formats/ip-address.js';
import { parseIpRoutes, type IpRoutes } from '../formats/ip-route.js';
import { parseIpRules } from '../formats/ip-rule.js';
import { parseIpsetSave } from '../formats/ipset-save.js';
import { parseSockets } from '../formats/sockets.js';
import { parseTrafficControl } from '../formats/tc.js';
import { parseSysctl } from '../formats/sysctl.js';
import { isLinkLocal6, isLoopback, type Family } from './address.js';
import type { Device, NetworkNamespace } from './face.js';
import { type Fact, type NetnsFacts } from './facts.js';
import { damage, factOf, type NetnsRead, type ReadFile } from './files.js';
import { sendPacket } from './outcome.js';
import { Pipeline } from './pipeline.js';
import { loadHooks, readNft } from './rules.js';
import { createRuntime } from './runtime.js';

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

/**
 * Compiles the files of one `netns/` folder. Files are read when a packet first needs them; a missing one makes unknown
 * only what depends on it.
 */
export function loadNetworkNamespace(folder: string, read: ReadFile): NetworkNamespace {
  const path = (name: string): string => (folder === '' ? name : `${folder}/${name}`);
  const fact = <T extends { readonly problems: readonly ParseProblem[] }>(
    name: string,
    what: string,
    parse: (file: string, text: string) => T,
  ): (() => Fact<T>) => once(() => factOf(read, path(name), what, parse));
  const rules = {
    4: fact('ip-rule.json', 'policy rules', parseIpRules),
    6: fact('ip6-rule.json', 'IPv6 policy rules', parseIpRules),
  };
  const routes4 = fact('ip-route.json', 'routes', parseIpRoutes);
  const routes6 = fact('ip6-route.json', 'IPv6 routes', (file, text) => parseIpRoutes(file, text, 6));
  const nft = once(() => readNft(path('nft-ruleset.json'), read));
  const control = fact('tc.txt', 'programs of traffic control', parseTrafficControl);
  const conntrack = once(() => read(path('conntrack.txt')));
  const connections = once(() => {
    const content = conntrack();
    return content.kind === 'text' ? parseConntrack(path('conntrack.txt'), content.text) : null;
  });
  const facts: NetnsFacts = {
    addresses: fact('ip-address.json', 'devices and addresses', parseIpAddresses),
    rules: (family) => rules[family](),
    routes: (family) => (family === 4 ? routes4() : ipv6Routes(routes4, routes6)),
    ipsets: fact('ipset-save.txt', 'ipsets', parseIpsetSave),
    sysctls: fact('sysctl.txt', 'sysctls', parseSysctl),
    sockets: fact('sockets.txt', 'listening sockets', parseSockets),
    trafficControl: once(() => (read(path('tc.txt')).kind === 'missing' ? null : control())),
    connections,
    linkChains: () => nft().links,
    flowtables: () => nft().flowtables,
  };
  const runtime = createRuntime(facts);
  const hooks: Readonly<Record<Family, ReturnType<typeof loadHooks>>> = {
    4: loadHooks(4, path, read, runtime, nft),
    6: loadHooks(6, path, read, runtime, nft),
  };
  const pipeline = new Pipeline(runtime, (family) => hooks[family]().table);
  const problems = once(() => problemsOf(facts, hooks, conntrack(), path('conntrack.txt')));
  const devices = once(() => {
    const addresses = facts.addresses();
    return addresses.kind === 'known' ? addresses.value.devices.map(toDevice) : [];
  });
  return {
    folder,
    get devices() {
      return devices();
    },
    get problems() {
      return problems();
    },
    send: (packet) => sendPacket(pipeline, packet),
  };
}

/** `ip -j route show table all` prints IPv6 too: it stands in where the IPv6 file is missing. */
function ipv6Routes(routes4: () => Fact<IpRoutes>, routes6: () => Fact<IpRoutes>): Fact<IpRoutes> {
  const own = routes6();
  if (own.kind === 'known') return own;
  const other = routes4();
  return other.kind === 'known' && other.value.routes.some(({ family }) => family === 6) ? other : own;
}

/** What is missing or damaged. Files of IPv6 alone leave nothing open where nothing has an address of IPv6. */
function problemsOf(
  facts: NetnsFacts,
  hooks: Readonly<Record<Family, ReturnType<typeof loadHooks>>>,
  conntrack: NetnsRead,
  file: string,
): readonly Unknown[] {
  const common: readonly Fact<unknown>[] = [
    facts.addresses(),
    facts.rules(4),
    facts.routes(4),
    facts.sysctls(),
    facts.sockets(),
  ];
  const control = facts.trafficControl();
  const six: readonly Fact<unknown>[] = usesIpv6(facts) ? [facts.rules(6), facts.routes(6)] : [];
  const found = [...common, ...six, ...(control === null ? [] : [control])].flatMap((one) =>
    one.kind === 'unknown' ? [one.unknown] : [],
  );
  const rules = [...hooks[4]().problems, ...(usesIpv6(facts) ? hooks[6]().problems : [])];
  const seen = new Set<string>();
  return [...rules, ...found, ...connectionProblems(facts, conntrack, file)].filter(({ fact }) => {
    const first = !seen.has(fact);
    seen.add(fact);
    return first;
  });
}

function usesIpv6(facts: NetnsFacts): boolean {
  const addresses = facts.addresses();
  if (addresses.kind === 'unknown') return false;
  return addresses.value.devices.some((device) =>
    device.addresses.some(({ ip }) => ip.family === 6 && !isLoopback(ip.value) && !isLinkLocal6(ip.value)),
  );
}

function connectionProblems(facts: NetnsFacts, content: NetnsRead, file: string): readonly Unknown[] {
  const fact = `existing connections: ${file}`;
  if (content.kind === 'unusable' || content.kind === 'unread') return [{ fact, reason: content.reason }];
  const [problem] = facts.connections()?.problems ?? [];
  return problem === undefined ? [] : [{ fact, reason: damage(problem) }];
}

function toDevice(device: IpDevice): Device {
  // "link" names a parent in this namespace (a VLAN or the other veth end); only a bare index points to another one
  const elsewhere = device.link === null && device.linkIndex !== null;
  return {
    name: device.name,
    index: device.index,
    peerIndex: elsewhere ? device.linkIndex : null,
    kind: device.kind,
    up: device.up,
    mac: device.mac,
    addresses: device.addresses.map(({ ip, prefix }) => ({ ip: formatIp(ip), prefix })),
    master: device.master,
    tunnel: device.tunnel,
    evidence: device.evidence,
  };
}
