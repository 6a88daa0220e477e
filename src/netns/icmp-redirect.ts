import { textOf } from './address.js';
import { reflectedMark } from './answer.js';
import type { Connection } from './connection.js';
import { ACCEPT, Flow, ICMP } from './flow.js';
import type { HookTable } from './hooks.js';
import type { Runtime } from './runtime.js';
import { sourceByRoute4 } from './output-routes.js';

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
  const { src, choices } = flow;
  const key = { dst: src, src: 0, iif: 'lo', oif: null, uid: 0, protocol: ICMP, sport: 0, dport: 0 };
  const back = runtime.routing(4).lookup({ ...key, mark: reflectedMark(flow, runtime) }, choices);
  const from = sourceByRoute4(runtime.devices, src, back);
  if (from === null) return;
  const error = new RedirectFlow(4, ICMP, flow.packet, from, src, null, null, choices, null);
  error.ct = ct;
  error.ctState = 'RELATED';
  error.ctReply = !flow.ctReply;
  error.local = false;
  error.mark = reflectedMark(flow, runtime);
  // a sender that is an address of this machine is told over lo, whose other end is met after the packet
  error.oif = error.routed = back.kind === 'local' ? 'lo' : (back.nexthop?.device ?? null);
  if (hooks.OUTPUT.runError(error, ACCEPTED) === ACCEPT) hooks.POSTROUTING.runError(error, ACCEPTED);
  if (ct.mark === mark) return;
  const unknown = {
    fact: `whether ${textOf(src)} is sent an ICMP redirect`,
    reason: 'the kernel limits their rate',
  };
  const sent =
    runtime.devices.ipv4(device).sendRedirects &&
    choices.either('redirect', 'the kernel sends an ICMP redirect', unknown);
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

  /** ICMP_REDIR_HOST. */
  override get icmpCode(): number {
    return 1;
  }
}

const ACCEPTED = (): boolean => true;
