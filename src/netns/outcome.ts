import { Choices } from './choices.js';
import type { NetnsOutcome, Packet } from './face.js';
import { FlowOutcome } from './flow-outcome.js';
import type { Flow } from './flow.js';
import type { Pipeline } from './pipeline.js';

/** More ways than this through one namespace are cut off, aloud. */
const MAX_WAYS = 256;

interface Way {
  readonly end: Flow;
  readonly answers: readonly number[];
  /** How it was reached: with which answers to the open questions, at which share otherwise. */
  readonly reached: { readonly answers: ReadonlyMap<string, number>; readonly share: number }[];
  conditions: readonly string[];
  unknowns: NetnsOutcome['unknowns'];
}

const NONE: readonly never[] = [];

/** Runs every way a packet can take and merges those that end alike. */
export function sendPacket(pipeline: Pipeline, packet: Packet): readonly NetnsOutcome[] {
  const choices = new Choices();
  const first = pipeline.run(packet, choices);
  if (!choices.forked) return [new FlowOutcome(first, 1, NONE, NONE, pipeline, NONE)];
  const ways = new Map<string, Way>();
  let count = 0;
  let current = first;
  for (;;) {
    count++;
    const answers = choices.indexes();
    addWay(ways, current, answers, choices);
    if (!choices.next()) break;
    if (count >= MAX_WAYS) {
      const unknown = { fact: 'the remaining ways of the packet', reason: `more than ${MAX_WAYS} ways fork here` };
      const rest = pipeline.run(packet, new Choices(answers)).endUnknown(unknown);
      ways.set('rest', { end: rest, answers, reached: [], conditions: [], unknowns: [] });
      break;
    }
    current = pipeline.run(packet, choices);
  }
  const list = [...ways.values()];
  const [only] = list;
  if (list.length === 1 && only !== undefined) {
    // all ways end alike: what they fork on decides nothing
    return [new FlowOutcome(only.end, 1, NONE, NONE, pipeline, only.answers)];
  }
  const shares = sharesOf(list);
  return list
    .map((way, index) => ({ way, share: shares[index] ?? null }))
    .sort((a, b) => (b.share ?? -1) - (a.share ?? -1) || compareText(keyOf(a.way.end), keyOf(b.way.end)))
    .map(({ way, share }) =>
      share === null
        ? new FlowOutcome(way.end, null, way.conditions, way.unknowns, pipeline, way.answers)
        : new FlowOutcome(way.end, share, NONE, NONE, pipeline, way.answers),
    );
}

/** More open questions than this are not worked through: then no share is known. */
const MAX_OPEN = 8;

/**
 * The share of each way. Where it hangs on open questions it is known all the same if it is equal whatever the answers
 * are (two tables in an unknown order that both balance to the same endpoints).
 */
function sharesOf(ways: readonly Way[]): readonly (number | null)[] {
  const options = new Map<string, Set<number>>();
  for (const { reached } of ways) {
    for (const { answers } of reached) {
      for (const [question, answer] of answers) options.set(question, (options.get(question) ?? new Set()).add(answer));
    }
  }
  if (options.size > MAX_OPEN || ways.some(({ reached }) => reached.length === 0)) return ways.map(() => null);
  let worlds: ReadonlyMap<string, number>[] = [new Map()];
  for (const [question, answers] of options) {
    worlds = worlds.flatMap((world) => [...answers].map((answer) => new Map(world).set(question, answer)));
  }
  return ways.map(({ reached }) => {
    const inWorlds = worlds.map((world) =>
      reached.reduce(
        (sum, { answers, share }) =>
          [...answers].every(([question, answer]) => world.get(question) === answer) ? sum + share : sum,
        0,
      ),
    );
    const first = inWorlds[0] ?? 0;
    return inWorlds.every((share) => Math.abs(share - first) < 1e-9) ? first : null;
  });
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function addWay(ways: Map<string, Way>, end: Flow, answers: readonly number[], choices: Choices): void {
  const key = keyOf(end);
  const reached = { answers: choices.openAnswers(), share: choices.knownShare() };
  const known = ways.get(key);
  if (known === undefined) {
    ways.set(key, { end, answers, reached: [reached], conditions: choices.conditions(), unknowns: choices.unknowns() });
    return;
  }
  known.reached.push(reached);
  // reached in several ways: only what they have in common is a condition
  const here = new Set(choices.conditions());
  known.conditions = known.conditions.filter((condition) => here.has(condition));
  const facts = new Set(known.unknowns.map(({ fact }) => fact));
  known.unknowns = [...known.unknowns, ...choices.unknowns().filter(({ fact }) => !facts.has(fact))];
}

/** What makes two ends the same to whoever asks. */
function keyOf(flow: Flow): string {
  const { verdict, socket, unknown } = flow;
  if (verdict === 'dropped' || verdict === 'rejected') return verdict;
  const nexthop = flow.route?.nexthop?.gateway ?? '';
  const ct = flow.ct;
  const reply = ct === null ? '' : `${ct.reply.src}:${ct.reply.sport}>${ct.reply.dst}:${ct.reply.dport}/${ct.zone}`;
  return [
    verdict,
    flow.src,
    flow.sport,
    flow.dst,
    flow.dport,
    flow.mark,
    ct?.mark ?? 0,
    flow.oif ?? '',
    nexthop,
    socket?.name ?? '',
    reply,
    ct !== null && ct.drawnPort !== null,
    unknown?.fact ?? '',
  ].join(' ');
}
