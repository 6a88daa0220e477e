import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { loadNetworkNamespace } from '../../src/netns/load.js';
import type { NetnsAnswer, NetnsAnswerOutcome } from '../../src/netns/eval.js';
import type { NetworkNamespace } from '../../src/netns/face.js';
import type { Recorded } from '../kernel/recorder.js';
import type { Files } from './netns-files.js';

/** Verdicts of a real kernel: the files of a namespace, packets sent through it, and how they ended. */
export interface Vector {
  readonly name: string;
  readonly files: Files;
  readonly flows: string;
  readonly answers: string;
  readonly conversations: string;
}

export interface Question {
  readonly id: string;
  readonly protocol: string;
  readonly ctdir?: string;
}

export type Observed = {
  readonly [K in 'verdict' | 'src' | 'dst' | 'oif' | 'mark' | 'connmark' | 'socket']: string | null;
} & { readonly probability: number };

export function loadVectors(): readonly Vector[] {
  return readFixture<Vector[]>('kernel-vectors');
}

/** What the harness of test/kernel recorded (its Recorder): the sets, each with the texts of its files. */
export function loadRecorded<Content extends object>(
  name: string,
): readonly (Content & { readonly name: string; readonly files: Files })[] {
  const { texts, sets } = readFixture<Recorded<Content>>(name);
  return sets.map((set) => {
    const files = Object.entries(set.files).map(([file, place]) => [file, texts[place] ?? ''] as const);
    return { ...set, files: Object.fromEntries(files) };
  });
}

function readFixture<T>(name: string): T {
  const file = new URL(`./fixtures/${name}.json.gz`, import.meta.url);
  return JSON.parse(gunzipSync(readFileSync(file)).toString('utf8')) as T;
}

/** Of files as the tools print them; the last line of a text need not be ended. */
export function namespaceOf(files: Files): NetworkNamespace {
  return namespaceOfBytes(ended(files));
}

/** With the end of the last line, which a recording may have left away. */
export function ended(files: Files): Files {
  const isCut = (name: string, text: string): boolean => name.endsWith('.txt') && text !== '' && !text.endsWith('\n');
  return Object.fromEntries(
    Object.entries(files).map(([name, text]) => [name, isCut(name, text) ? `${text}\n` : text] as const),
  );
}

/** Of files as they stand there. */
export function namespaceOfBytes(files: Files): NetworkNamespace {
  return loadNetworkNamespace('', (path) => {
    const text = files[path];
    return text === undefined ? { kind: 'missing', reason: 'not in the recording' } : { kind: 'text', text };
  });
}

export function lines<T>(text: string): readonly T[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T);
}

/** What can be compared: of dropped and rejected packets the verdict alone was observed. */
function keyOf(outcome: Observed | NetnsAnswerOutcome, { protocol, ctdir }: Question): string {
  const { verdict, src, dst, oif, mark, connmark, socket } = outcome;
  if (verdict === 'dropped' || verdict === 'rejected') return verdict;
  // a TCP reply that reaches INPUT belongs to a socket that no list shows
  if (protocol === 'tcp' && ctdir === 'REPLY' && (verdict === 'delivered' || verdict === 'refused')) {
    return ['local', src, dst, mark, connmark].join(' ');
  }
  return [verdict, src, dst, oif, mark, connmark, socket].join(' ');
}

/** Null where the engine agrees with the kernel. */
export function disagreement(
  question: Question,
  answer: NetnsAnswer,
  observed: readonly Observed[],
  dnatToRange: boolean,
): string | null {
  if ('error' in answer) return `error: ${answer.error}`;
  const derived = new Map(answer.outcomes.map((outcome) => [keyOf(outcome, question), outcome]));
  const seen = new Set<string>();
  for (const outcome of observed) {
    const key = keyOf(outcome, question);
    seen.add(key);
    const match = derived.get(key);
    if (match === undefined) return `observed, not derived: ${key}; derived ${[...derived.keys()].join(' | ')}`;
    // 30 to 100 packets were sent: 0.25 is more than four standard deviations
    if (observed.length > 1 && match.probability !== null && Math.abs(match.probability - outcome.probability) > 0.25) {
      return `share of ${key}: ${match.probability}, observed ${outcome.probability}`;
    }
  }
  for (const [key, outcome] of derived) {
    if (seen.has(key)) continue;
    if (outcome.verdict === 'unknown') return `unknown: ${outcome.reason ?? ''}`;
    // the kernel's hash picks one member of a range of addresses; a rare branch may not have been drawn
    if (outcome.probability === null || outcome.probability < 0.12) continue;
    if (!dnatToRange) return `derived, not observed: ${key} (${outcome.probability})`;
  }
  return null;
}

export function hasDnatRange(files: Files): boolean {
  return /--to-destination \S+-\S+|--to-destination \[\S+\]-|dnat":.*"range"|"range":.*dnat/.test(
    Object.entries(files)
      .filter(([name]) => /tables|nft/.test(name))
      .map(([, text]) => text)
      .join('\n'),
  );
}
