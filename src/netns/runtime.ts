import type { Evidence, Unknown } from '../formats/evidence.js';
import type { IpsetSave } from '../formats/ipset-save.js';
import { isMulticast, type Addr, type Family } from './address.js';
import { ConnectionTable } from './connections.js';
import { Devices, type Fact, type NetnsFacts } from './facts.js';
import { isSubnetRouters, type RouteResult } from './route-result.js';
import { Routing } from './routing.js';
import type { Flow } from './flow.js';
import { SocketTable } from './socket-table.js';

/** What compiled rules may ask about the namespace while a packet passes. */
export interface Runtime {
  readonly facts: NetnsFacts;
  readonly devices: Devices;
  readonly sockets: SocketTable;
  readonly ipsets: () => Fact<IpsetSave>;
  /** conntrack.txt; null where there is none. */
  readonly connections: () => ConnectionTable | null;
  routing(family: Family): Routing;
  /** inet_dev_addr_type and its IPv6 counterpart; `device`: limited to one. */
  addressType(family: Family, addr: Addr, device: string | null, flow: Flow): RouteResult['kind'];
}

export function placeOf({ file, line, pointer }: Evidence): string {
  return `${file}${line === undefined ? '' : `:${line}`}${pointer ?? ''}`;
}

/** Something in a rule that no code here knows: the rule stays, both ways are followed. */
export function unsupported(what: string, evidence: Evidence): Unknown {
  return { fact: `${what} at ${placeOf(evidence)}`, reason: 'meshpath does not know it' };
}

export function createRuntime(facts: NetnsFacts): Runtime {
  const devices = new Devices(facts);
  const linkdown = (device: string): boolean =>
    devices.deviceSysctl('net.ipv4.conf.*.ignore_routes_with_linkdown', device) !== 0;
  const linkdown6 = (device: string): boolean =>
    devices.deviceSysctl('net.ipv6.conf.*.ignore_routes_with_linkdown', device) !== 0;
  const routing = { 4: new Routing(4, facts, linkdown), 6: new Routing(6, facts, linkdown6) };
  let connections: ConnectionTable | null | undefined;
  return {
    facts,
    devices,
    connections() {
      if (connections === undefined) {
        const table = facts.connections();
        connections = table === null ? null : new ConnectionTable(table);
      }
      return connections;
    },
    sockets: new SocketTable(facts),
    ipsets: () => facts.ipsets(),
    routing: (family) => routing[family],
    addressType(family, addr, device, flow) {
      if (family === 4) {
        const value = Number(addr);
        if (value === 0xffffffff || value === 0) return 'broadcast';
        if (isMulticast(addr)) return 'multicast';
        return routing[4].addressType(addr, device, flow.choices);
      }
      const key = { dst: addr, src: 0n, iif: 'lo', oif: device, mark: 0, uid: 0, protocol: 0, sport: 0, dport: 0 };
      const found = routing[6].routeOf(key, flow.choices);
      return found.kind === 'anycast' && !isSubnetRouters(found) ? 'unicast' : found.kind;
    },
  };
}
