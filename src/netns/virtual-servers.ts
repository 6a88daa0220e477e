import type { Unknown } from '../formats/evidence.js';
import type { Addr } from './address.js';
import { SCTP, TCP, UDP, type Flow } from './flow.js';
import type { Runtime } from './runtime.js';

/** The dummy device that kube-proxy gives all Service addresses to in its IPVS mode (pkg/proxy/ipvs, DefaultDummyDevice). */
const DEVICE = 'kube-ipvs0';
/** Its sets of node ports (pkg/proxy/ipvs/ipset.go); bitmap:port but for SCTP. */
const NODE_PORTS = /^KUBE-(6-)?NODE-PORT-/;

/**
 * What IPVS would take from a packet that local delivery has (ip_vs_remote_request in LOCAL_IN, ip_vs_local_request in
 * LOCAL_OUT): its virtual servers are in no file, so that a Service's address, a node port, or a port where nobody listens is
 * unknown. Null: IPVS is not in use here, or the packet is not for it.
 */
export function virtualServer(flow: Flow, runtime: Runtime): Unknown | null {
  if (flow.protocol !== TCP && flow.protocol !== UDP && flow.protocol !== SCTP) return null;
  if (runtime.facts.addresses().kind === 'unknown') return null;
  const device = runtime.devices.get(DEVICE);
  if (device === null) return null;
  const own = device.addresses.some(({ ip }) => ip.value === flow.dst);
  return own || isNodePort(runtime, flow.dport) || !hasListener(flow, runtime, flow.dst) ? UNKNOWN : null;
}

const UNKNOWN: Unknown = {
  fact: `the virtual servers of IPVS (${DEVICE} is there: kube-proxy runs in its IPVS mode)`,
  reason: 'only ipvsadm -Ln shows them',
};

function isNodePort({ ipsets }: Runtime, port: number): boolean {
  const fact = ipsets();
  if (fact.kind === 'unknown') return true;
  for (const [name, { entries }] of fact.value.sets) {
    if (!NODE_PORTS.test(name)) continue;
    for (const { value } of entries) if (portIn(value, port)) return true;
  }
  return false;
}

/** `30080`, `30080-30090`, `10.0.0.1,sctp:30080`. */
function portIn(entry: string, port: number): boolean {
  const match = /(\d+)(?:-(\d+))?$/.exec(entry);
  return match !== null && port >= Number(match[1]) && port <= Number(match[2] ?? match[1]);
}

function hasListener(flow: Flow, runtime: Runtime, addr: Addr): boolean {
  if (flow.packet.connectedSocket !== null || flow.tproxy !== null || flow.ctReply) return true;
  if (runtime.facts.sockets().kind === 'unknown') return true;
  return runtime.sockets.lookup(flow.family, flow.protocol, addr, flow.dport, flow.iif) !== null;
}
