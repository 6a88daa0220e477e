import { splitHostPort } from '../formats/ip.js';
import type { DumpCertificate, LegacyState } from '../formats/ztunnel-types.js';
import { canonicalAddress } from './authority.js';
import type { ZtunnelConnection } from './face.js';
import { inbound, plaintext } from './legacy-inbound.js';
import { outbound } from './legacy-outbound.js';
import { keepsSource, type Outcomes } from './legacy-request.js';
import { Undecided, type State } from './state.js';

/**
 * istio 1.18: workloads are found by address, VIPs by `ip:port`, a waypoint belongs to workloads. One ztunnel serves all
 * pods of its node.
 */
export function decideLegacy(
  state: State,
  legacy: LegacyState,
  certificates: ReadonlyMap<string, DumpCertificate>,
  connection: ZtunnelConnection,
  source: string,
): Outcomes {
  const request = { state, legacy, certificates, source };
  if (connection.direction === 'inbound') return inbound(request, connection);
  const parts = splitHostPort(connection.dst);
  const ip = parts === null ? null : canonicalAddress(parts.host);
  if (parts === null || ip === null) {
    throw new Undecided({ fact: `destination ${JSON.stringify(connection.dst)}`, reason: 'it cannot be read' });
  }
  const target = { ip, port: parts.port };
  return connection.direction === 'outbound'
    ? outbound(request, target, keepsSource(state), [])
    : plaintext(request, target);
}
