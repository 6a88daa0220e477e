import type { Evidence, ParseProblem } from './evidence.js';
import { parseCidr, parseIp, type Cidr, type Ip } from './ip.js';
import { Fields, isObject, parseJsonList, stringOf } from './netns-json.js';

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

/** `only`: the family of all routes, where the command asked for one. */
export function parseIpRoutes(file: string, text: string, only: 4 | 6 | null = null): IpRoutes {
  const parsed = parseJsonList(text);
  if ('error' in parsed) return { file, routes: [], problems: [{ file, message: parsed.error }] };
  const routes: IpRoute[] = [];
  const problems: ParseProblem[] = [];
  parsed.list.forEach((item, index) => {
    const pointer = `/${index}`;
    const fields = new Fields(isObject(item) ? item : {});
    const route = routeOf(fields, only, { file, pointer, text: JSON.stringify(item) });
    if (route !== null && fields.odd === null) routes.push(route);
    else problems.push({ file, pointer, message: oddRoute(fields) });
  });
  return { file, routes, problems };
}

function oddRoute({ odd }: Fields): string {
  return odd === null ? 'not a route' : `a route without its "${odd}", or with one that is not understood`;
}

/** Types of routes that refuse, or end the search in their table: no device is needed to use them. */
export const DEVICELESS: ReadonlySet<string> = new Set(['unreachable', 'prohibit', 'blackhole', 'throw']);

/** rtnl_rtntype_n2a (iproute2 lib/rtm_map.c, v6.1); of these, those that lead nowhere need no device. */
const TYPES: ReadonlySet<string> = new Set(
  'unicast local broadcast anycast multicast unreachable prohibit blackhole throw nat xresolve'.split(' '),
);
const NOWHERE: ReadonlySet<string> = new Set([...DEVICELESS, 'nat', 'xresolve']);

function routeOf(fields: Fields, only: 4 | 6 | null, evidence: Evidence): IpRoute | null {
  const text = fields.text('dst');
  if (text === null) return null;
  const several = fields.objects('nexthops');
  const members = several === null ? [fields] : several.map((hop) => new Fields(hop));
  const nexthops = members.map(nexthopOf);
  for (const { odd } of members) if (odd !== null) fields.reject(odd);
  const gateway = nexthops.map((hop) => hop.gateway).find((value) => value !== null) ?? null;
  const prefsrc = fields.parsed('prefsrc', parseIp);
  // "default" has no family of its own: only IPv6 routes have a router preference, else the gateway or source tells
  const six = text === 'default' ? (gateway?.includes(':') ?? prefsrc?.family === 6) : text.includes(':');
  const family = only ?? (fields.has('pref') || six ? 6 : 4);
  const dst = parseCidr(text === 'default' ? (family === 4 ? '0.0.0.0/0' : '::/0') : text);
  if (dst === null || dst.ip.family !== family) return null;
  const type = fields.text('type') ?? 'unicast';
  if (!TYPES.has(type)) fields.reject('type');
  if (!NOWHERE.has(type) && nexthops.some(({ device }) => device === null)) fields.reject('dev');
  const table = fields.label('table') ?? 'main';
  const protocol = fields.label('protocol');
  if (protocol === 'kernel') checkOwn(fields, family, type, table, text);
  return {
    family,
    type,
    dst,
    table,
    metric: fields.number('metric') ?? 0,
    scope: fields.label('scope') ?? 'global',
    protocol,
    prefsrc,
    tos: fields.has('tos'),
    from: fields.text('from') ?? fields.text('src'),
    nexthops,
    evidence,
  };
}

/**
 * What the kernel makes of an address on its own stands in the table local, or in a VRF's, and nothing else does (fib_magic in
 * linux net/ipv4/fib_frontend.c, addrconf_f6i_alloc in net/ipv6/route.c, v6.12; older ones list groups of IPv6 as unicast).
 */
function checkOwn(fields: Fields, family: 4 | 6, type: string, table: string, dst: string): void {
  if (table === 'main' && (type === 'local' || type === 'broadcast' || type === 'anycast')) fields.reject('table');
  if (table === 'local' && type === 'unicast' && (family === 4 || !dst.startsWith('ff'))) fields.reject('type');
}

function nexthopOf(fields: Fields): Nexthop {
  const flags = fields.words('flags');
  const via = fields.object('via');
  const gateway = fields.text('gateway') ?? stringOf(via?.['host']);
  if (via !== null && gateway === null) fields.reject('via');
  if (gateway !== null && parseIp(gateway) === null) fields.reject('gateway');
  return {
    device: fields.text('dev'),
    gateway,
    weight: fields.number('weight') ?? 1,
    dead: flags.includes('dead'),
    linkdown: flags.includes('linkdown'),
  };
}
