import { canonicalIp } from './ip.js';
import { Fields, isObject, type JsonObject, type Problems } from './ztunnel-json.js';
import type { DumpConfig } from './ztunnel-types.js';

/** Ports that a call must not end at (Z:src/config.rs illegal_ports: the three listeners). */
const DEFAULT_ILLEGAL_PORTS: readonly number[] = [15001, 15006, 15008];

const snake = (key: string): string => key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** The port of `[::]:15008`, `{"SocketAddr":"[::]:15008"}` or `{"Localhost":[true,15053]}`. */
function portOf(value: unknown): number | null {
  if (typeof value === 'string') {
    const match = /:(\d+)$/.exec(value);
    return match === null ? null : Number(match[1]);
  }
  if (!isObject(value)) return null;
  const inner = value['SocketAddr'] ?? value['Localhost'];
  if (Array.isArray(inner)) return typeof inner[1] === 'number' ? inner[1] : null;
  return portOf(inner);
}

/** `config` of the dump: camelCase since 1.19, snake_case in 1.18 (Z:src/config.rs). */
export function readConfig(root: JsonObject, problems: Problems): DumpConfig {
  const raw = isObject(root['config']) ? root['config'] : {};
  if (!isObject(root['config'])) problems.add('/config', 'section config is missing');
  const pick = (key: string): unknown => raw[key] ?? raw[snake(key)];
  const text = (key: string): string | null => {
    const value = pick(key);
    return typeof value === 'string' ? value : null;
  };
  const flag = (key: string, fallback: boolean): boolean => {
    const value = pick(key);
    return typeof value === 'boolean' ? value : fallback;
  };
  const mode = text('proxyMode') ?? (typeof root['proxy_mode'] === 'string' ? root['proxy_mode'] : null);
  const ports = pick('illegalPorts');
  const original = pick('requireOriginalSource') ?? pick('enableOriginalSource');
  const localIp = text('localIp');
  const dedicated = pick('proxyWorkloadInformation');
  const info = isObject(dedicated) ? new Fields(dedicated, '/config/proxyWorkloadInformation', problems) : null;
  return {
    network: text('network') ?? '',
    localNode: text('localNode') ?? (typeof root['local_node'] === 'string' ? root['local_node'] : null),
    localIp: localIp === null ? null : canonicalIp(localIp),
    clusterDomain: text('clusterDomain') ?? 'cluster.local',
    proxyMode: mode === 'Shared' || mode === 'Dedicated' ? mode : null,
    inpod: flag('inpodEnabled', false),
    inboundPort: portOf(pick('inboundAddr')) ?? 15008,
    illegalPorts: Array.isArray(ports)
      ? ports.filter((port): port is number => typeof port === 'number')
      : DEFAULT_ILLEGAL_PORTS,
    requireOriginalSource: typeof original === 'boolean' ? original : null,
    localhostAppTunnel: flag('localhostAppTunnel', true),
    onDemand: flag('xdsOnDemand', false),
    dnsProxy: flag('dnsProxy', false),
    ipv6Enabled: flag('ipv6Enabled', true),
    preferredServiceNamespace: text('preferedServiceNamespace'),
    dedicatedFor:
      info === null
        ? null
        : { namespace: info.text('namespace'), name: info.text('name'), serviceAccount: info.text('serviceAccount') },
  };
}
