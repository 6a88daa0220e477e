import { object, string } from '../formats/envoy-json.js';
import { addressType } from './connection.js';
import { hostEvidence, type Host } from './host.js';
import type { Engine } from './engine.js';
import type { EnvoyEndpoint } from './face.js';

/** Every endpoint of a cluster with the form of its address; empty where the dump has none of it. */
export function endpointsOf(engine: Engine, name: string): readonly EnvoyEndpoint[] {
  const hosts = engine.cluster(name)?.hosts()?.hosts ?? [];
  return hosts.map((host) => endpoint(host, engine.dump.file));
}

/** 1.20 on: `envoy.filters.listener.original_dst`; 1.18 and 1.19: `tunnel`. */
function tunnelOf(host: Host): EnvoyEndpoint['tunnel'] {
  const current = host.metadata['envoy.filters.listener.original_dst'];
  if (current !== undefined) {
    const metadata = object(current);
    return { address: string(metadata['waypoint']), destination: string(metadata['local']) };
  }
  const old = host.metadata['tunnel'];
  if (old === undefined) return null;
  const metadata = object(old);
  return { address: string(metadata['address']), destination: string(metadata['destination']) };
}

function endpoint(host: Host, file: string): EnvoyEndpoint {
  const match: Record<string, string> = {};
  for (const [key, value] of Object.entries(object(host.metadata['envoy.transport_socket_match']))) {
    if (typeof value === 'string') match[key] = value;
  }
  return {
    addressType: addressType(host.kind),
    address: host.name,
    internalListener: host.listener,
    tunnel: tunnelOf(host),
    transportSocketMatch: match,
    health: host.healthNote === '' ? host.health.toUpperCase() : `${host.health.toUpperCase()} (${host.healthNote})`,
    weight: host.weight,
    evidence: hostEvidence(host, file),
  };
}
