import { FactMissing } from './choices.js';
import { isOn } from './device-programs.js';
import type { Flow } from './flow.js';
import type { Runtime } from './runtime.js';

/**
 * nf_flow_offload_ip_hook: what a flowtable holds is forwarded before any rule sees it. Asked where a rule stopped the
 * packet or marked it; conntrack.txt says it of the connections that it lists.
 */
export function mayBypassRules({ packet, ctState, hook, choices, listed }: Flow, runtime: Runtime): void {
  const { iif } = packet;
  if (iif === null || ctState !== 'ESTABLISHED' || hook === 'INPUT' || hook === 'OUTPUT') return;
  if (listed?.offloaded === false) return;
  const table = runtime.facts.flowtables().find(({ devices }) => devices.some((one) => isOn(one, iif)));
  if (table === undefined) return;
  const held = { fact: `connections in ${table.evidence.text}`, reason: 'nft does not list them' };
  if (listed?.offloaded === true)
    throw new FactMissing({ ...held, reason: 'it holds this one, whose way is not followed' });
  if (!choices.either(table.evidence.text, `${table.evidence.text} does not hold the connection`, held)) {
    throw new FactMissing(held);
  }
}

/** Whether rules gave a packet of an established connection, or the connection, another mark. */
export function isMarked({ ct, ctState, mark, packet, listed }: Flow): boolean {
  if (ctState !== 'ESTABLISHED' || ct === null) return false;
  const before = listed?.mark ?? packet.conntrack?.mark ?? packet.assumed?.connmark ?? 0;
  return mark !== packet.mark >>> 0 || ct.mark !== before;
}
