import { answer } from '../../src/commands/_answer.js';
import { collect, type Cost } from '../../src/collect/collect.js';
import type { CollectOptions, Plan } from '../../src/collect/plan.js';
import type { Snapshot } from '../../src/snapshot/snapshot.js';
import { memorySink } from '../../src/snapshot/write.js';

export function optionsFor(kubeconfig: string, notices: string[] = []): CollectOptions {
  return {
    kubeconfig,
    context: null,
    as: null,
    asGroups: [],
    requestTimeout: 10_000,
    concurrency: 8,
    debugImage: null,
    meshpathVersion: '0.0.0',
    signal: new AbortController().signal,
    progress: (event) => {
      if (event.kind === 'notice') notices.push(event.message);
    },
  };
}

export function tracePlan(from: string, to: string): Plan {
  return { kind: 'trace', from, to, namespace: null, ask: (snapshot) => answer(snapshot, { from, to }) };
}

export interface Live {
  readonly snapshot: Snapshot;
  readonly cost: Cost;
  readonly notices: readonly string[];
}

export async function liveTrace(kubeconfig: string, from: string, to: string): Promise<Live> {
  const notices: string[] = [];
  const sink = memorySink();
  const cost = await collect(sink, tracePlan(from, to), optionsFor(kubeconfig, notices), []);
  return { snapshot: sink.snapshot('live'), cost, notices };
}

/** What an answer says, without where in which file it was read. */
export function shape(trace: ReturnType<typeof answer>): unknown {
  return trace.paths.map(({ verdict, stops, links, encryption, probability }) => ({
    verdict,
    stops,
    links,
    encryption,
    probability,
  }));
}
