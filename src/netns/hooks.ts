import type { Unknown } from '../formats/evidence.js';
import { runList } from './chain.js';
import type { Connection } from './connection.js';
import { ACCEPT, CONTINUE, DROP, type Flow, type HookName, type Verdict } from './flow.js';
import { HookPlans, inOrder, type BaseChain, type Ordered, type Stage } from './hook-plan.js';
import { isUntranslatable } from './icmp-error.js';
import { translate, type Manip } from './nat.js';
import { keepUnique } from './nat-unique.js';
import { track } from './track.js';

/** The base chains of one family, by hook; the nat chains apart, as the kernel keeps them (nf_nat_register_fn). */
export interface HookTable {
  readonly hooks: Readonly<Record<HookName, Hook>>;
  /** Rules that could not be read: every packet of the family ends as unknown. */
  readonly unknown: Unknown | null;
}

export const HOOKS: readonly HookName[] = ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'];

const CONNTRACK_PRIORITY = -200;
export const DNAT_PRIORITY = -100;
export const SNAT_PRIORITY = 100;

/** Which side of a connection nat translates at a hook. */
const MANIP: Readonly<Record<HookName, Manip | null>> = {
  PREROUTING: 'DST',
  INPUT: 'SRC',
  FORWARD: null,
  OUTPUT: 'DST',
  POSTROUTING: 'SRC',
};

/** All of one hook: filter chains, conntrack and nat at their priorities. */
export class Hook {
  private readonly name: HookName;
  private readonly plans: HookPlans;
  private readonly tracks: boolean;
  private readonly manip: Manip | null;
  private readonly hasNat: boolean;

  /** `firstNat`: order of the first nat chain of the family at any hook; null: there is none. */
  constructor(name: HookName, filters: readonly BaseChain[], nats: readonly BaseChain[], firstNat: number | null) {
    this.name = name;
    this.tracks = name === 'PREROUTING' || name === 'OUTPUT';
    this.manip = MANIP[name];
    this.hasNat = firstNat !== null;
    const conntrack = this.tracks ? CONNTRACK_PRIORITY : -Infinity;
    const nat = this.manip === null ? Infinity : this.manip === 'DST' ? DNAT_PRIORITY : SNAT_PRIORITY;
    this.plans = new HookPlans({ name, conntrack, nat, firstNat }, filters, nats);
  }

  /** ACCEPT: the packet goes on. `reroute` looks the way of a local packet up again; false: there is none. */
  run(flow: Flow, reroute: (flow: Flow) => boolean): Verdict {
    flow.hook = this.name;
    const { untracked, beforeNat, afterNat, nats } = this.plans.for(flow);
    if (untracked !== null) {
      const verdict = runStages(untracked, flow, reroute);
      if (verdict !== ACCEPT) return verdict;
    }
    if (this.tracks) track(flow);
    if (beforeNat !== null) {
      const verdict = runStages(beforeNat, flow, reroute);
      if (verdict !== ACCEPT) return verdict;
    }
    if (this.manip !== null && flow.ct !== null) {
      const verdict = runNat(nats, this.manip, flow, flow.ct, reroute);
      if (verdict !== ACCEPT) return verdict;
      if (flow.others !== null && this.manip === 'SRC' && this.hasNat) {
        keepUnique(flow, flow.ct, flow.others);
      }
    }
    return afterNat === null ? ACCEPT : runStages(afterNat, flow, reroute);
  }

  /**
   * What the rules say to an ICMP error of a connection whose first packet is still on its way: nat, which has not finished
   * with that, lets it pass no further (nf_nat_icmp_reply_translation).
   */
  runError(flow: Flow, reroute: (flow: Flow) => boolean): Verdict {
    flow.hook = this.name;
    const { untracked, beforeNat, afterNat } = this.plans.for(flow);
    const met = [...(untracked ?? []), ...(beforeNat ?? []), ...((this.hasNat ? null : afterNat) ?? [])];
    const verdict = runStages(met, flow, reroute);
    return verdict === ACCEPT && this.hasNat ? DROP : verdict;
  }
}

function runStage({ list, otherwise }: Stage, flow: Flow): Verdict {
  const verdict = runList(list, flow);
  if (verdict !== CONTINUE) return verdict;
  return otherwise === null ? ACCEPT : otherwise(flow);
}

function runStages(stages: readonly Stage[], flow: Flow, reroute: (flow: Flow) => boolean): Verdict {
  for (let at = 0; at < stages.length; at++) {
    const stage = stages[at];
    if (stage === undefined) break;
    const verdict = stage.reroutes ? runRerouting(stage, flow, reroute) : runStage(stage, flow);
    if (verdict !== ACCEPT) return verdict;
  }
  return ACCEPT;
}

/** The route is looked up again when the mark or the TOS changed: what writes addresses there is not followed. */
function runRerouting(stage: Stage, flow: Flow, reroute: (flow: Flow) => boolean): Verdict {
  const { mark } = flow;
  flow.tosWritten = false;
  const verdict = runStage(stage, flow);
  if (verdict !== ACCEPT) return verdict;
  if (mark === flow.mark && !(flow.tosWritten && hadAnotherTos(flow))) return ACCEPT;
  return reroute(flow) ? ACCEPT : DROP;
}

function hadAnotherTos({ choices }: Flow): boolean {
  return choices.either('tos', 'the packet had another TOS (hop limit, flow label) before the rules wrote it', {
    fact: 'the TOS that the sender gave the packet',
    reason: 'questions do not say it; where it changed the way is looked up again, as a packet of root',
  });
}

/** nf_nat_inet_fn, with what nf_nat_ipv4_local_fn adds to it in OUTPUT. */
function runNat(nats: Ordered, manip: Manip, flow: Flow, ct: Connection, reroute: (flow: Flow) => boolean): Verdict {
  const { dst } = flow;
  const done = manip === 'SRC' ? ct.srcDone : ct.dstDone;
  if (!done && (flow.ctState === 'NEW' || flow.ctState === 'RELATED')) {
    const stages = inOrder(nats, flow);
    for (let at = 0; at < stages.length; at++) {
      const stage = stages[at];
      if (stage === undefined) break;
      const verdict = runStage(stage, flow);
      if (verdict !== ACCEPT) return verdict;
      if (manip === 'SRC' ? ct.srcDone : ct.dstDone) break;
    }
    // nf_nat_alloc_null_binding: from now on nothing translates this side any more
    if (manip === 'SRC') ct.srcDone = true;
    else ct.dstDone = true;
  } else if (isUntranslatable(flow, ct)) {
    return DROP;
  } else {
    translate(flow, ct, manip);
    if (dst !== flow.dst) {
      flow.note('netfilter', 'the destination is translated back as this connection demands', null);
    }
  }
  if (dst !== flow.dst && flow.hook === 'OUTPUT' && !reroute(flow)) return DROP;
  return ACCEPT;
}
