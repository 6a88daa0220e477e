import type { Evidence } from '../formats/evidence.js';
import type { DestinationRule, Pod } from '../formats/kubernetes-types.js';
import { clientTlsOf } from '../mesh/destination-rules.js';
import type { Mesh } from '../mesh/model.js';
import { known, type Known } from './known.js';

/** The TLS mode that a DestinationRule sets, and where. */
interface RuleTls {
  readonly mode: string;
  readonly rule: DestinationRule;
  readonly evidence: readonly Evidence[];
}

/** The TLS mode that a client's proxy is told for a host as a whole (no subset). Null: no rule sets one. */
export function destinationRuleTls(
  mesh: Mesh,
  client: Pod,
  host: string,
  serviceNamespace: string,
  port: number | null,
): Known<RuleTls | null> {
  const open = mesh.unknownOf('destinationRules', `DestinationRules for ${host}`);
  if (open !== null) return { kind: 'unknown', unknown: open };
  const { mode, rule, evidence } = clientTlsOf(mesh, client, host, serviceNamespace, port, null);
  return known(mode === null || rule === null ? null : { mode, rule, evidence });
}
