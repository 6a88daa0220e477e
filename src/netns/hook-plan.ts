import type { Chain, List } from './chain.js';
import { LANES, type Flow, type HookName, type Lane, type Verdict } from './flow.js';

/** One base chain at one hook: of iptables (either back-end) or of a table of nft. */
export interface BaseChain {
  readonly hook: HookName;
  readonly priority: number;
  readonly type: 'filter' | 'nat' | 'route';
  /** Registration order as far as it can be seen; null for a legacy table, and a chain added later: no listing places them among nft's. */
  readonly order: number | null;
  /** "iptables nat OUTPUT", "inet istio-ambient-nat output". */
  readonly label: string;
  readonly rules: Chain;
  /** The policy: what becomes of a packet that no rule decides; null: it is accepted. */
  readonly otherwise: ((flow: Flow) => Verdict) | null;
}

/** A base chain for the packets of one lane, ready to run. */
export interface Stage {
  readonly priority: number;
  readonly order: number | null;
  readonly list: List;
  readonly otherwise: BaseChain['otherwise'];
  /** Of type route, which the kernel takes in OUTPUT alone, and iptables' mangle OUTPUT. */
  readonly reroutes: boolean;
}

function stageOf({ priority, order, rules, otherwise, type }: BaseChain, lane: Lane): Stage {
  return { priority, order, list: rules.list(lane), otherwise, reroutes: type === 'route' };
}

/** Chains in the order in which they run. */
export interface Ordered {
  /** Those without a place in the listing last. */
  readonly nftFirst: readonly Stage[];
  /** The other order, where no file tells which it is; null: there is only one. */
  readonly legacyFirst: readonly Stage[] | null;
}

/**
 * By priority; at equal priority the chain that was registered later runs first (nf_hook_entries_grow, linux
 * net/netfilter/core.c, v6.12). Legacy tables stand before or after nft's of the same priority: which one, no file says.
 */
function ordered(chains: readonly BaseChain[], lane: Lane): Ordered {
  const busy = chains.filter(({ rules, otherwise }) => otherwise !== null || !rules.idle(lane));
  const stages = busy.map((chain) => stageOf(chain, lane));
  const mixed = stages.some(
    ({ order, priority }) =>
      order === null && stages.some((other) => other.order !== null && other.priority === priority),
  );
  const sorted = (rank: (stage: Stage) => number): readonly Stage[] =>
    [...stages].sort((a, b) => a.priority - b.priority || rank(a) - rank(b) || (b.order ?? 0) - (a.order ?? 0));
  return {
    nftFirst: sorted((stage) => (stage.order === null ? 1 : 0)),
    legacyFirst: mixed ? sorted((stage) => (stage.order === null ? 0 : 1)) : null,
  };
}

function legacyIsFirst(flow: Flow): boolean {
  const words = 'the legacy iptables rules, and chains added later, run before the others of their priority';
  return flow.choices.either('legacy first', words, {
    fact: 'registration order of the iptables-legacy and nft tables, and of chains added later',
    reason: 'no tool prints it',
  });
}

export function inOrder(stages: Ordered, flow: Flow): readonly Stage[] {
  return stages.legacyFirst !== null && legacyIsFirst(flow) ? stages.legacyFirst : stages.nftFirst;
}

/** The filter chains before conntrack looks, between conntrack and nat, and after nat; null: there are none. */
export interface Plan {
  readonly untracked: readonly Stage[] | null;
  readonly beforeNat: readonly Stage[] | null;
  readonly afterNat: readonly Stage[] | null;
  readonly nats: Ordered;
}

function someOf(stages: readonly Stage[]): readonly Stage[] | null {
  return stages.length === 0 ? null : stages;
}

/** The chains of one lane, where no file need tell the order of all. */
interface Unplanned {
  readonly filters: Ordered;
  readonly nats: Ordered;
}

/** Where a hook's own parts stand among its chains. */
export interface HookPlace {
  readonly name: HookName;
  /** Priorities; -Infinity, Infinity: the hook has no such part. */
  readonly conntrack: number;
  readonly nat: number;
  /** Order of the first nat chain of the family at any hook; null: there is none. */
  readonly firstNat: number | null;
}

/** In which order the chains of one hook run; those that have nothing to say are left out. */
export class HookPlans {
  private readonly place: HookPlace;
  private readonly filters: readonly BaseChain[];
  private readonly nats: readonly BaseChain[];
  /** Per lane; null: not made yet, or another one for each answer to what no file tells of the order. */
  private readonly plans: (Plan | null)[] = LANES.map(() => null);
  private readonly unplanned: (Unplanned | null)[] = LANES.map(() => null);

  constructor(place: HookPlace, filters: readonly BaseChain[], nats: readonly BaseChain[]) {
    this.place = place;
    this.filters = filters;
    this.nats = nats;
  }

  for(flow: Flow): Plan {
    return this.plans[flow.lane] ?? this.planFor(flow);
  }

  private planFor(flow: Flow): Plan {
    const { lane } = flow;
    const chains = (this.unplanned[lane] ??= {
      filters: ordered(this.filters, lane),
      nats: ordered(this.nats, lane),
    });
    const plan = this.planOf(chains, flow);
    const { conntrack, nat } = this.place;
    const ties = chains.filters.nftFirst;
    const open =
      chains.filters.legacyFirst !== null ||
      at(ties, conntrack).length > 0 ||
      at(ties, nat).length > this.surelyBeforeNat(ties);
    if (!open) this.plans[lane] = plan;
    return plan;
  }

  /** How many chains of nat's own priority surely run before it: registered after the first nat chain, or nat is not there. */
  private surelyBeforeNat(stages: readonly Stage[]): number {
    const { firstNat, nat } = this.place;
    return at(stages, nat).filter(({ order }) => firstNat === null || (order !== null && order > firstNat)).length;
  }

  /** Where conntrack and nat stand among chains of their own priority hangs on what was registered first. */
  private planOf({ filters, nats }: Unplanned, flow: Flow): Plan {
    const { name, conntrack, nat } = this.place;
    const stages = inOrder(filters, flow);
    const [trackTies, natTies] = [at(stages, conntrack), at(stages, nat)];
    const tracked = howMany(flow, `conntrack at ${name}`, 0, trackTies.length);
    const translated = howMany(flow, `nat at ${name}`, this.surelyBeforeNat(stages), natTies.length);
    const early = (stage: Stage): boolean => stage.priority < conntrack || trackTies.slice(0, tracked).includes(stage);
    const before = (stage: Stage): boolean => stage.priority < nat || natTies.slice(0, translated).includes(stage);
    return {
      untracked: someOf(stages.filter(early)),
      beforeNat: someOf(stages.filter((stage) => !early(stage) && before(stage))),
      afterNat: someOf(stages.filter((stage) => !early(stage) && !before(stage))),
      nats,
    };
  }
}

function at(stages: readonly Stage[], wanted: number): readonly Stage[] {
  return stages.filter(({ priority }) => priority === wanted);
}

/** How many of the chains of its priority run before something: at least `from`, at most `to`. */
function howMany(flow: Flow, what: string, from: number, to: number): number {
  if (from === to) return from;
  const options = Array.from({ length: to - from + 1 }, (_, at) => ({
    probability: null,
    condition: `${what} runs after ${from + at} of the chains of its priority`,
  }));
  return (
    from + flow.choices.decide(what, options, { fact: `when ${what} was registered`, reason: 'no tool prints it' })
  );
}
