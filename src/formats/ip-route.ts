import type { Evidence, ParseProblem } from './evidence.js';
import { parseCidr, parseIp, type Cidr, type Ip } from './ip.js';
import { isObject, numberOf, parseJsonList, stringOf, stringsOf, type JsonObject } from './netns-json.js';

/** `ip -j route show table all`, `ip -6 -j route show table all`. */
export interface IpRoutes {
  readonly file: string;
  readonly routes: readonly IpRoute[];
  readonly problems: readonly ParseProblem[];
}

export interface IpRoute {
  readonly family: 4 | 6;
  /** `unicast`, `local`, `broadcast`, `multicast`, `anycast`, `unreachable`, `blackhole`, `prohibit`, `throw`… */
  readonly type: string;
  readonly dst: Cidr;
  /** `main`, `local`, `default`, or the number as printed. */
  readonly table: string;
  readonly metric: number;
  readonly scope: string;
  readonly protocol: string | null;
  readonly prefsrc: Ip | null;
  readonly tos: boolean;
  /** Of a source-specific IPv6 route. */
  readonly from: string | null;
  readonly nexthops: readonly Nexthop[];
  readonly evidence: Evidence;
}

export interface Nexthop {
  readonly device: string | null;
  readonly gateway: string | null;
  readonly weight: number;
  readonly dead: boolean;
  readonly linkdown: boolean;
}

export function parseIpRoutes(file: string, text: string): IpRoutes {
  const parsed = parseJsonList(text);
  if ('error' in parsed) return { file, routes: [], problems: [{ file, message: parsed.error }] };
  const routes: IpRoute[] = [];
  const problems: ParseProblem[] = [];
  parsed.list.forEach((item, index) => {
    const pointer = `/${index}`;
    const route = isObject(item) ? routeOf(item, { file, pointer, text: JSON.stringify(item) }) : null;
    if (route === null) problems.push({ file, pointer, message: 'not a route' });
    else routes.push(route);
  });
  return { file, routes, problems };
}

function routeOf(item: JsonObject, evidence: Evidence): IpRoute | null {
  const text = stringOf(item['dst']);
  if (text === null) return null;
  const nexthops = Array.isArray(item['nexthops'])
    ? item['nexthops'].filter(isObject).map(nexthopOf)
    : [nexthopOf(item)];
  const gateway = nexthops.map((hop) => hop.gateway).find((value) => value !== null) ?? null;
  // "default" has no family of its own: only IPv6 routes have a router preference, else the gateway or source tells
  const sample = text === 'default' ? (gateway ?? stringOf(item['prefsrc']) ?? '') : text;
  const family = 'pref' in item || sample.includes(':') ? 6 : 4;
  const dst = parseCidr(text === 'default' ? (family === 4 ? '0.0.0.0/0' : '::/0') : text);
  if (dst === null) return null;
  const type = stringOf(item['type']) ?? 'unicast';
  const prefsrc = stringOf(item['prefsrc']);
  return {
    family,
    type,
    dst,
    table: stringOf(item['table']) ?? numberOf(item['table'])?.toString() ?? 'main',
    metric: numberOf(item['metric']) ?? 0,
    scope: stringOf(item['scope']) ?? 'global',
    protocol: stringOf(item['protocol']),
    prefsrc: prefsrc === null ? null : parseIp(prefsrc),
    tos: 'tos' in item,
    from: stringOf(item['from']) ?? stringOf(item['src']),
    nexthops,
    evidence,
  };
}

function nexthopOf(item: JsonObject): Nexthop {
  const flags = stringsOf(item['flags']);
  const via = item['via'];
  return {
    device: stringOf(item['dev']),
    gateway: stringOf(item['gateway']) ?? (isObject(via) ? stringOf(via['host']) : null),
    weight: numberOf(item['weight']) ?? 1,
    dead: flags.includes('dead'),
    linkdown: flags.includes('linkdown'),
  };
}
