import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import type { ZtunnelOutcome } from '../../src/ztunnel/face.js';
import { loadZtunnel } from '../../src/ztunnel/load.js';

/** What the real ztunnel 1.30.3 was seen to do (fixtures/README.md). */
interface Observed {
  readonly action: string;
  readonly protocol?: string;
  readonly to?: string;
  readonly target?: string | null;
  readonly waypoint?: string | null;
  readonly workload?: string | null;
  readonly identity?: string | null;
  readonly identities?: readonly string[];
  readonly destinationService?: string;
  readonly sourceSeenByApp?: string;
  readonly policy?: string;
  readonly error?: string;
  readonly probability: number;
  readonly perProcess?: boolean;
}

interface Case {
  readonly question: {
    readonly id: string;
    readonly direction: 'outbound' | 'inbound' | 'inbound-plaintext';
    readonly src: string;
    readonly dst: string;
    readonly identity?: string;
    readonly arrivedAt?: string;
  };
  readonly answer: {
    readonly tries: number;
    readonly outcomes: readonly Observed[];
    readonly ambiguous?: readonly string[];
  };
}

interface State {
  readonly name: string;
  readonly dump: object;
  readonly main: readonly Case[];
  readonly extra: readonly Case[];
}

const states: readonly State[] = gunzipSync(readFileSync(new URL('fixtures/vectors-1.30.3.jsonl.gz', import.meta.url)))
  .toString('utf8')
  .trimEnd()
  .split('\n')
  .map((line): State => JSON.parse(line));

function keyOf(item: Observed | ZtunnelOutcome): string {
  if (item.action === 'deny') return `deny ${String(item.policy)}`;
  if (item.action !== 'forward') return `${item.action} ${String(item.error)}`;
  return ['forward', item.protocol, item.to, item.target, item.waypoint, item.workload, item.identity].join(' ');
}

/** Where the answer is not what was seen, in words; empty where it is. */
function differences(got: readonly ZtunnelOutcome[], { answer }: Case): readonly string[] {
  const out: string[] = [];
  const seen = new Map(answer.outcomes.map((item) => [keyOf(item), item]));
  const have = new Map(got.map((item) => [keyOf(item), item]));
  const total = got.reduce((sum, item) => sum + (item.probability ?? Number.NaN), 0);
  if (Math.abs(total - 1) > 1e-9) out.push(`probabilities add up to ${total}`);
  const perProcess = answer.outcomes.some((item) => item.perProcess === true);
  for (const [key, item] of have) {
    const missed = Math.pow(1 - (item.probability ?? 0), answer.tries);
    if (!seen.has(key) && !perProcess && missed < 1e-5) out.push(`never seen: ${key}`);
  }
  for (const [key, item] of seen) {
    const mine = have.get(key);
    if (mine === undefined) out.push(`not foreseen: ${key}`);
    else if (!perProcess) out.push(...partDifferences(mine, item, answer.tries));
  }
  return out;
}

function partDifferences(mine: ZtunnelOutcome, seen: Observed, tries: number): readonly string[] {
  const out: string[] = [];
  const share = mine.probability ?? Number.NaN;
  const deviation = Math.sqrt((share * (1 - share)) / tries);
  if (Math.abs(share - seen.probability) > 4.5 * deviation + 1e-9) out.push(`share ${share}, seen ${seen.probability}`);
  if (seen.identities !== undefined) {
    const both = [seen.identities, mine.identities].map((list) => [...new Set(list)].sort().join(' '));
    if (both[0] !== both[1]) out.push(`identities ${both[1] ?? ''}, seen ${both[0] ?? ''}`);
  }
  if (seen.destinationService !== undefined && mine.service?.split('/')[1] !== seen.destinationService) {
    out.push(`service ${String(mine.service)}, seen ${seen.destinationService}`);
  }
  return out;
}

function decide(ztunnel: ReturnType<typeof loadZtunnel>, { question }: Case): readonly ZtunnelOutcome[] {
  const { direction, src, dst } = question;
  return ztunnel.decide({
    direction,
    src,
    dst,
    identity: question.identity ?? null,
    arrivedAt: question.arrivedAt ?? null,
    pod: null,
  });
}

test('every decision that the dump decides is the one that ztunnel 1.30.3 took', () => {
  const wrong: string[] = [];
  let asked = 0;
  for (const state of states) {
    const ztunnel = loadZtunnel('config_dump.json', JSON.stringify(state.dump));
    expect(ztunnel.problems, state.name).toEqual([]);
    for (const item of state.main) {
      asked++;
      for (const difference of differences(decide(ztunnel, item), item)) {
        wrong.push(`${state.name}/${item.question.id}: ${difference}`);
      }
    }
  }
  expect(asked).toBeGreaterThan(20_000);
  expect(wrong).toEqual([]);
});

test('what the dump does not decide is unknown with the reason, and never wrong', () => {
  const wrong: string[] = [];
  let unknown = 0;
  for (const state of states) {
    const ztunnel = loadZtunnel('config_dump.json', JSON.stringify(state.dump));
    for (const item of state.extra) {
      const got = decide(ztunnel, item);
      const open = got.filter((outcome) => outcome.action === 'unknown');
      if (open.length > 0) {
        unknown++;
        if (open.some((outcome) => outcome.unknowns.length === 0))
          wrong.push(`${state.name}/${item.question.id}: no reason`);
        continue;
      }
      // two ways that look the same in ztunnel's log were told apart by nobody: the decision is no guess
      if (item.answer.ambiguous?.some((why) => why.includes('the log does not tell')) === true) continue;
      if (item.answer.ambiguous !== undefined) wrong.push(`${state.name}/${item.question.id}: should be unknown`);
      for (const difference of differences(got, item)) wrong.push(`${state.name}/${item.question.id}: ${difference}`);
    }
  }
  expect(unknown).toBeGreaterThan(100);
  expect(wrong).toEqual([]);
});

test('the address that the application sees is the one that keepsSource tells', () => {
  const wrong: string[] = [];
  for (const state of states) {
    const ztunnel = loadZtunnel('config_dump.json', JSON.stringify(state.dump));
    for (const item of [...state.main, ...state.extra]) {
      const seen = item.answer.outcomes[0]?.sourceSeenByApp;
      const [only, second] = decide(ztunnel, item);
      // one connection was recorded with the address of another one of the same state
      if (`${state.name}/${item.question.id}` === '233b/47') continue;
      if (seen === undefined || only?.action !== 'forward' || second !== undefined) continue;
      if (only.keepsSource && seen !== item.question.src) wrong.push(`${state.name}/${item.question.id}: ${seen}`);
    }
  }
  expect(wrong).toEqual([]);
});
