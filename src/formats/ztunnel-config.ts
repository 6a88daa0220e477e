import { canonicalIp } from './ip.js';
import type { Unknown } from './evidence.js';
import { Fields, isObject, isPort, type JsonObject, type Problems } from './ztunnel-json.js';
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
export function readConfig(
  root: JsonObject,
  problems: Problems,
): { readonly config: DumpConfig; readonly unread: Unknown | null } {
  const raw = isObject(root['config']) ? root['config'] : {};
  if (!isObject(root['config'])) problems.add('/config', 'section config is missing');
  const fields = new Fields(raw, '/config', problems);
  const name = (key: string): string => (raw[key] === undefined ? snake(key) : key);
  const pick = (key: string): unknown => raw[name(key)];
  const text = (key: string): string | null => fields.textOrNull(name(key));
  const flag = (key: string, fallback: boolean): boolean => fields.flag(name(key), fallback);
  const mode = text('proxyMode') ?? (typeof root['proxy_mode'] === 'string' ? root['proxy_mode'] : null);
  if (mode !== null && mode !== 'Shared' && mode !== 'Dedicated') {
    fields.refuse('proxyMode', `proxyMode has a value that is not known: ${JSON.stringify(mode)}`);
  }
  const ports = pick('illegalPorts');
  if (ports !== undefined && !(Array.isArray(ports) && ports.every(isPort))) {
    fields.refuse('illegalPorts', 'illegalPorts is not a list of ports');
  }
  const inbound = pick('inboundAddr');
  if (inbound !== undefined && portOf(inbound) === null) fields.refuse('inboundAddr', 'inboundAddr has no port');
  const originalName = name('requireOriginalSource') in raw ? 'requireOriginalSource' : 'enableOriginalSource';
  const original = pick(originalName);
  flag(originalName, false);
  const localIp = text('localIp');
  const dedicated = pick('proxyWorkloadInformation');
  const info = isObject(dedicated) ? new Fields(dedicated, '/config/proxyWorkloadInformation', problems) : null;
  const config: DumpConfig = {
    network: text('network') ?? '',
    localNode: text('localNode') ?? (typeof root['local_node'] === 'string' ? root['local_node'] : null),
    localIp: localIp === null ? null : canonicalIp(localIp),
    clusterDomain: text('clusterDomain') ?? 'cluster.local',
    proxyMode: mode === 'Shared' || mode === 'Dedicated' ? mode : null,
    inpod: flag('inpodEnabled', false),
    inboundPort: portOf(inbound) ?? 15008,
    illegalPorts: Array.isArray(ports) ? ports.filter(isPort) : DEFAULT_ILLEGAL_PORTS,
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
  if (!isObject(root['config'])) {
    const fact = `configuration of ztunnel: ${problems.file}/config`;
    return { config, unread: { fact, reason: 'the dump has no such section' } };
  }
  return { config, unread: fields.unread('configuration of ztunnel') };
}
