import { CollectError } from './errors.js';
import { at, asArray, asString } from './json.js';
import type { Session } from './request.js';
import { openChannels } from './socket.js';

export interface PodRef {
  readonly namespace: string;
  readonly name: string;
}

export interface ExecResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
}

/** `v5.channel.k8s.io` closes streams properly; API servers before 1.30 speak v4. */
const PROTOCOLS = ['v5.channel.k8s.io', 'v4.channel.k8s.io'];

/** More than a node's whole network state: what is longer is no answer of the script. */
const MAX_OUTPUT = 256 * 1024 * 1024;

export function podPath(pod: PodRef, subresource: string): string {
  return `/api/v1/namespaces/${pod.namespace}/pods/${pod.name}/${subresource}`;
}

/**
 * Runs a command in a container without a terminal or input. Throws CollectError where it could not be run: refused by the
 * API server, no such program in the image, the stream cut. An exit status other than 0 is a result, not an error.
 */
export async function exec(
  session: Session,
  pod: PodRef,
  container: string,
  command: readonly string[],
): Promise<ExecResult> {
  const query = { container, command, stdout: 'true', stderr: 'true' };
  const channels = await openChannels(session, podPath(pod, 'exec'), query, PROTOCOLS);
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  let size = 0;
  let status: string | null = null;
  for await (const { channel, data } of channels.frames()) {
    size += data.length;
    if (size > MAX_OUTPUT) throw new CollectError('refused', 'the command printed more than 256 MB');
    if (channel === 1) out.push(data);
    else if (channel === 2) err.push(data);
    else if (channel === 3) {
      status = data.toString('utf8');
      break;
    }
  }
  if (status === null) throw new CollectError('unreachable', 'the stream was cut before the command ended');
  return {
    stdout: Buffer.concat(out).toString('utf8'),
    stderr: Buffer.concat(err).toString('utf8'),
    exitCode: exitCodeOf(status),
  };
}

/** The v1 Status that ends an exec: Success, a NonZeroExitCode with its cause, or what kept it from being run. */
function exitCodeOf(text: string): number {
  let status: unknown;
  try {
    status = JSON.parse(text);
  } catch {
    throw new CollectError('unreachable', `the command ended with no readable status: ${text.slice(0, 200)}`);
  }
  if (at(status, 'status') === 'Success') return 0;
  for (const cause of asArray(at(status, 'details', 'causes'))) {
    const code = Number(asString(at(cause, 'message')));
    if (at(cause, 'reason') === 'ExitCode' && Number.isInteger(code)) return code;
  }
  throw new CollectError('refused', asString(at(status, 'message')) ?? 'the command could not be run');
}
