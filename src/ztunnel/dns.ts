import type { DumpService, DumpWorkload } from '../formats/ztunnel-types.js';
import type { ZtunnelDnsAnswer, ZtunnelDnsQuestion } from './face.js';
import { serviceName } from './outcome.js';
import { bestMatch, visibleTo, type State } from './state.js';

const NOTHING: ZtunnelDnsAnswer = {
  kind: 'unknown',
  addresses: [],
  canonicalName: null,
  service: null,
  summary: '',
  decidedBy: null,
  unknowns: [],
};

export function dnsAnswer(
  fields: Partial<ZtunnelDnsAnswer> & Pick<ZtunnelDnsAnswer, 'kind' | 'summary'>,
): ZtunnelDnsAnswer {
  return { ...NOTHING, ...fields };
}

type Name = readonly string[];

interface Alias {
  readonly name: Name;
  /** The asked name without its search domain, where it was found by that. */
  readonly stripped: Name | null;
}

const endsWith = (name: Name, domain: Name): boolean =>
  name.length > domain.length && domain.every((label, index) => name[name.length - domain.length + index] === label);

/** Z:src/dns/server.rs to_kube_fqdns: only the extensions that the number of labels allows. */
function kubernetesNames(name: Name, namespace: string, domain: Name): readonly Name[] {
  const svc = ['svc', ...domain];
  const own = [namespace, ...svc];
  switch (name.length) {
    case 1:
      return [[...name, ...own]];
    case 2:
      return [
        [...name, ...svc],
        [...name, ...own],
      ];
    case 3:
      return [...(endsWith(name, ['svc']) ? [[...name, ...domain]] : []), [...name, ...svc]];
    case 4:
      return endsWith(name, ['svc']) ? [[...name, ...domain]] : [];
    default:
      return [];
  }
}

/** Z:src/dns/server.rs get_aliases; the search domains of a pod are those that Kubernetes sets by default. */
function aliases(name: Name, namespace: string, domain: Name): readonly Alias[] {
  const out: Alias[] = [{ name, stripped: null }];
  for (const full of kubernetesNames(name, namespace, domain)) out.push({ name: full, stripped: null });
  for (const search of [[namespace, 'svc', ...domain], ['svc', ...domain], domain]) {
    if (!endsWith(name, search)) continue;
    const stripped = name.slice(0, name.length - search.length);
    out.push({ name: stripped, stripped });
    for (const full of kubernetesNames(stripped, namespace, domain)) out.push({ name: full, stripped });
  }
  return out;
}

/** The name itself, then a wildcard for its first label, its first two, … (Z:src/dns/server.rs get_wildcards). */
function withWildcards(name: Name): readonly string[] {
  const out = [name.join('.')];
  for (let skip = 1; skip < name.length; skip++) out.push(['*', ...name.slice(skip)].join('.'));
  return out;
}

function choose(state: State, services: readonly DumpService[], namespace: string): DumpService | null {
  const preferred = state.dump.config.preferredServiceNamespace;
  if (state.behaviour.dnsShared === 'canonical') return bestMatch(services, namespace, preferred);
  const own = services.find((service) => service.namespace === namespace);
  const favourite =
    state.behaviour.dnsShared === 'preferred' ? services.find((service) => service.namespace === preferred) : undefined;
  return own ?? favourite ?? services[0] ?? null;
}

/** Z:src/dns/server.rs find_server: Services with a VIP, or headless ones of the cluster's domain. */
function find(
  state: State,
  name: Name,
  namespace: string,
): { readonly service: DumpService; readonly alias: Alias; readonly wildcard: boolean } | null {
  const domain = state.dump.config.clusterDomain.split('.');
  const clusterSuffix = `.svc.${state.dump.config.clusterDomain}`;
  for (const alias of aliases(name, namespace, domain)) {
    for (const candidate of withWildcards(alias.name)) {
      const services = state
        .servicesByHost(candidate)
        .filter((service) => service.vips.length > 0 || service.hostname.endsWith(clusterSuffix))
        .filter(visibleTo(namespace));
      const service = choose(state, services, namespace);
      if (service !== null) return { service, alias, wildcard: candidate.startsWith('*.') };
    }
  }
  return null;
}

/** Z:src/dns/server.rs get_addresses: VIPs of the client's network, or one address of each endpoint of a headless Service. */
function addresses(
  state: State,
  client: DumpWorkload,
  service: DumpService,
  isType: (ip: string) => boolean,
): string[] {
  if (service.vips.length > 0) {
    return service.vips.filter((vip) => vip.network === client.network && isType(vip.ip)).map((vip) => vip.ip);
  }
  const out: string[] = [];
  for (const endpoint of state.readable(service).endpoints()) {
    const ip = state.workloadByUid(endpoint.workloadUid)?.ips.find(isType);
    if (ip !== undefined) out.push(ip);
  }
  return out;
}

/** Z:src/dns/server.rs lookup, 1.23 on. */
export function resolveName(state: State, client: DumpWorkload, question: ZtunnelDnsQuestion): ZtunnelDnsAnswer {
  const { type } = question;
  if (type !== 'A' && type !== 'AAAA') {
    return dnsAnswer({ kind: 'forward', summary: `records of type ${type} are not ztunnel's: forwarded` });
  }
  // a query's name arrives in lower case (hickory LowerName), and names are compared with labels
  const name = question.name.replace(/\.$/, '').toLowerCase().split('.');
  const found = find(state, name, client.namespace);
  if (found === null) {
    return dnsAnswer({ kind: 'forward', summary: `${question.name} is no name of ztunnel's state: forwarded` });
  }
  const { service, alias, wildcard } = found;
  const { ipv6Enabled } = state.dump.config;
  const named = { kind: 'answer' as const, service: serviceName(service), decidedBy: service.evidence };
  const familyRefused =
    (type === 'AAAA' && (!ipv6Enabled || service.ipFamilies === 'IPv4')) ||
    (type === 'A' && service.ipFamilies === 'IPv6');
  if (familyRefused) return dnsAnswer({ ...named, summary: 'service does not support this record type' });
  const list = addresses(state, client, service, (ip) => ip.includes(':') === (type === 'AAAA'));
  if (list.length === 0) return dnsAnswer({ ...named, summary: 'no records' });
  const canonicalName = alias.stripped !== null && !wildcard ? alias.stripped.join('.') : null;
  return dnsAnswer({
    ...named,
    addresses: list,
    canonicalName,
    summary: `answered from service ${serviceName(service)}`,
  });
}
