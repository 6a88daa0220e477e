import { parseIp, splitHostPort } from './ip.js';
import { isObject, type JsonObject } from './ztunnel-json.js';

/** One line of `eval ztunnel`, as the contract has it, with what a person may know besides. */
export interface ZtunnelQuestion {
  readonly direction: 'outbound' | 'inbound' | 'inbound-plaintext';
  readonly src: string;
  readonly dst: string;
  readonly identity: string | null;
  readonly arrivedAt: string | null;
  readonly pod: { readonly namespace: string; readonly name: string; readonly serviceAccount: string | null } | null;
}

export type QuestionRead =
  | { readonly id: string | number | null; readonly question: ZtunnelQuestion }
  | { readonly id: string | number | null; readonly error: string };

/** Reads one question. What is missing or of the wrong kind is named; nothing is guessed. */
export function readZtunnelQuestion(line: string): QuestionRead {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    return { id: null, error: `not JSON: ${error instanceof Error ? error.message : String(error)}` };
  }
  if (!isObject(value)) return { id: null, error: 'not a JSON object' };
  const { id } = value;
  if (typeof id !== 'string' && typeof id !== 'number') return { id: null, error: 'id is missing or no string' };
  const question = questionOf(value);
  return typeof question === 'string' ? { id, error: question } : { id, question };
}

function questionOf(value: JsonObject): ZtunnelQuestion | string {
  const { direction, src, dst, identity, arrivedAt } = value;
  if (direction !== 'outbound' && direction !== 'inbound' && direction !== 'inbound-plaintext') {
    return 'direction is none of outbound, inbound, inbound-plaintext';
  }
  if (typeof src !== 'string') return 'src is missing or no string';
  const source = parseIp(src) === null ? splitHostPort(src)?.host : src;
  if (source === undefined || parseIp(source) === null) return `src is no IP address: ${JSON.stringify(src)}`;
  if (typeof dst !== 'string') return 'dst is missing or no string';
  const target = splitHostPort(dst);
  if (target === null || target.host === '') return `dst is no ip:port: ${JSON.stringify(dst)}`;
  if (direction !== 'inbound' && parseIp(target.host) === null) return `dst is no ip:port: ${JSON.stringify(dst)}`;
  if (direction === 'inbound' && identity === undefined) return 'identity of the peer is missing';
  if (identity !== undefined && identity !== null && typeof identity !== 'string') return 'identity is no string';
  if (arrivedAt !== undefined && arrivedAt !== null && typeof arrivedAt !== 'string') return 'arrivedAt is no string';
  const pod = podOf(value['pod']);
  if (typeof pod === 'string') return pod;
  return { direction, src: source, dst, identity: identity ?? null, arrivedAt: arrivedAt ?? null, pod };
}

function podOf(value: unknown): ZtunnelQuestion['pod'] | string {
  if (value === undefined || value === null) return null;
  if (!isObject(value)) return 'pod is no object';
  const { namespace, name, serviceAccount } = value;
  if (typeof namespace !== 'string' || typeof name !== 'string') return 'pod has no namespace or no name';
  return { namespace, name, serviceAccount: typeof serviceAccount === 'string' ? serviceAccount : null };
}
