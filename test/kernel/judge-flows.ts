import type { NetworkNamespace } from '../../src/netns/face.js';
import type { Flow, KernelBench, Seen } from './bench.js';
import { judge, type Judgement } from './compare.js';

/** A flow as it was sent in the end, what the kernel did, and what the engine says of that. */
export interface JudgedFlow {
  readonly flow: Flow;
  readonly seen: Seen;
  readonly judgement: Judgement;
}

/** How far from its source port a flow is sent again: a connection of that port may be there. */
const AGAIN = 15_000;

/** Sends all; what is not believed is sent again, slowly. */
export async function judgeFlows(
  bench: KernelBench,
  netns: NetworkNamespace,
  flows: readonly Flow[],
): Promise<readonly JudgedFlow[]> {
  const fast = await bench.send(flows);
  const judged: JudgedFlow[] = [];
  for (const [at, flow] of flows.entries()) {
    const seen = fast[at];
    const judgement = seen === undefined ? null : judge(netns, flow, seen);
    if (seen !== undefined && judgement !== null && judgement.kind !== 'wrong') judged.push({ flow, seen, judgement });
    else judged.push(await judgeSlowly(bench, netns, { ...flow, sport: flow.sport + AGAIN }));
  }
  return judged;
}

/** Sends one, and waits long enough for a busy machine. */
export async function judgeSlowly(bench: KernelBench, netns: NetworkNamespace, flow: Flow): Promise<JudgedFlow> {
  const [seen] = await bench.send([flow], true);
  if (seen === undefined) throw new Error('nothing seen');
  return { flow, seen, judgement: judge(netns, flow, seen) };
}

/** Those of which the engine says what the kernel did not do, in words. */
export function wrongFlows(judged: readonly JudgedFlow[]): readonly string[] {
  return judged.flatMap(({ flow, judgement }) =>
    judgement.kind === 'wrong' ? [`${JSON.stringify(flow)}\n${judgement.why}`] : [],
  );
}
