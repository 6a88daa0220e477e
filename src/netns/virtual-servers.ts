import type { Unknown } from '../formats/evidence.js';
import type { Addr } from './address.js';
import { FactMissing } from './choices.js';
import { ACCEPT, isTranslatedByPort, type Action, type Flow, type HookName } from './flow.js';
import { Chain, type Rule } from './chain.js';
import { ANY } from './head.js';
import type { BaseChain } from './hook-plan.js';
import { DNAT_PRIORITY, SNAT_PRIORITY } from './hooks.js';
import type { Runtime } from './runtime.js';

/** The dummy device that kube-proxy gives all Service addresses to in its IPVS mode (pkg/proxy/ipvs, DefaultDummyDevice). */
const DEVICE = 'kube-ipvs0';
/** Its sets of node ports (pkg/proxy/ipvs/ipset.go); bitmap:port but for SCTP. */
const NODE_PORTS = /^KUBE-(6-)?NODE-PORT-/;

/**
 * The hooks of IPVS where it is in use, as chains among the others (ip_vs_ops4 and ip_vs_ops6 in linux
 * net/netfilter/ipvs/ip_vs_core.c, v6.12). Its virtual servers are in no file: what it would take from the machine is
 * unknown, and so is whether it made the connection of a reply.
 */
export function virtualServers(runtime: Runtime): readonly BaseChain[] {
  if (runtime.devices.trace(DEVICE) === null) return [];
  const replies: Action = (flow) => {
    if (isTranslatedByPort(flow) && isUntold(flow) && !flow.choices.either('ipvs', NOT_SERVED, UNKNOWN))
      throw new FactMissing(UNKNOWN);
    return ACCEPT;
  };
  const requests: Action = (flow) => {
    if (isTranslatedByPort(flow) && isTaken(flow, runtime)) throw new FactMissing(UNKNOWN);
    return ACCEPT;
  };
  return [
    hooked('INPUT', SNAT_PRIORITY - 2, 'ip_vs_out', replies),
    hooked('INPUT', SNAT_PRIORITY - 1, 'ip_vs_in', requests),
    hooked('OUTPUT', DNAT_PRIORITY + 1, 'ip_vs_out', replies),
    hooked('OUTPUT', DNAT_PRIORITY + 2, 'ip_vs_in', requests),
    hooked('FORWARD', SNAT_PRIORITY, 'ip_vs_out', replies),
  ];
}

/** Before chains of the same priority: what it takes is unknown, whatever they say. */
function hooked(hook: HookName, priority: number, label: string, run: Action): BaseChain {
  const rule: Rule = { head: ANY, rest: null, act: run, protocol: null, dst: null, jumpsTo: null };
  return { hook, priority, type: 'filter', order: Infinity, label, rules: new Chain(1, () => [rule]), otherwise: null };
}

/** A reply of a connection of which nothing is known but that: of others the entry says how it is translated. */
function isUntold({ ctReply, ctState, known }: Flow): boolean {
  return ctReply && ctState === 'ESTABLISHED' && known.length === 0;
}

/** A packet for this machine: to a Service's address, a node port, or a port where nobody listens. */
function isTaken(flow: Flow, runtime: Runtime): boolean {
  if (flow.hook === 'OUTPUT' && flow.routed !== 'lo') return false;
  const own = runtime.devices.holds(DEVICE, flow.dst);
  return own || isNodePort(runtime, flow.dport) || !hasListener(flow, runtime, flow.dst);
}

const NOT_SERVED = 'the connection did not go through a virtual server of IPVS';
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
