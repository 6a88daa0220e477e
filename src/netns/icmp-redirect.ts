import { textOf } from './address.js';
import { reflectedMark } from './answer.js';
import type { Connection } from './connection.js';
import { ACCEPT, Flow, ICMP } from './flow.js';
import type { HookTable } from './hooks.js';
import type { Runtime } from './runtime.js';
import { selectAddress4 } from './source-address.js';

/**
 * ip_rt_send_redirect: of what goes out where it came in the sender is told, now and then. The message belongs to the
 * connection, so that a rule of OUTPUT that sets the connection's mark on it does so before FORWARD sees the packet.
 */
export function sendRedirect(
  flow: Flow,
  ct: Connection,
  device: string,
  runtime: Runtime,
  hooks: HookTable['hooks'],
): void {
  const { mark } = ct;
  const from = selectAddress4(runtime.devices, device, flow.src, 0);
  const error = new RedirectFlow(4, ICMP, flow.packet, from, flow.src, null, null, flow.choices, null);
  error.ct = ct;
  error.ctState = 'RELATED';
  error.ctReply = !flow.ctReply;
  error.local = false;
  error.mark = reflectedMark(flow, runtime);
  error.oif = error.routed = device;
  if (hooks.OUTPUT.runError(error, ACCEPTED) === ACCEPT) hooks.POSTROUTING.runError(error, ACCEPTED);
  if (ct.mark === mark) return;
  const unknown = {
    fact: `whether ${textOf(flow.src)} is sent an ICMP redirect`,
    reason: 'the kernel limits their rate',
  };
  const sent =
    runtime.devices.ipv4(device).sendRedirects &&
    flow.choices.either('redirect', 'the kernel sends an ICMP redirect', unknown);
  if (!sent) ct.mark = mark;
}

/** An ICMP redirect, as far as rules look at it: the kernel's own socket sends it, which no process has (icmp_sk). */
class RedirectFlow extends Flow {
  override get hasSocket(): boolean {
    return true;
  }

  override get icmpType(): number {
    return 5;
  }
}

const ACCEPTED = (): boolean => true;
