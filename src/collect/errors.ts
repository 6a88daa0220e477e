import { NotAllowedError } from './allow.js';
import { scrub } from '../snapshot/redact.js';
import { OutputError } from '../snapshot/output-error.js';
import { NoDumpError } from '../snapshot/redact-stream.js';

/** Why something could not be read from the cluster. Each becomes one entry of the manifest's `problems`. */
type FailureKind =
  /** 401, 403: the user may not. */
  | 'forbidden'
  /** 404: not there (any more). */
  | 'gone'
  /** The time of this one request or pod is over. */
  | 'timeout'
  /** No connection, a cut stream, a 5xx that stays. */
  | 'unreachable'
  /** It ran, and said that it cannot: no shell in the image, exit status, not a tool there. */
  | 'refused'
  /** Ctrl-C. */
  | 'cancelled';

export class CollectError extends Error {
  readonly kind: FailureKind;
  readonly status: number | null;

  constructor(kind: FailureKind, message: string, status: number | null = null) {
    // what a plugin or server said may hold a token, and goes to the terminal and into the manifest
    super(scrub(message) ?? message);
    this.kind = kind;
    this.status = status;
  }
}

/** The kubeconfig is wrong, or what it names does not exist: exit status 2 of the commands. */
export class KubeconfigError extends Error {}

/**
 * Any failure as one that can be recorded. Throws NotAllowedError and OutputError on: a defect and a full disk are no state
 * of the cluster.
 */
export function asCollectError(error: unknown): CollectError {
  if (error instanceof CollectError) return error;
  if (error instanceof NotAllowedError || error instanceof OutputError) throw error;
  if (error instanceof NoDumpError) return new CollectError('refused', error.message);
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === 'ABORT_ERR' || (error instanceof Error && error.name === 'AbortError')) {
    return new CollectError('cancelled', 'interrupted');
  }
  return new CollectError('unreachable', explain(code, message));
}

/** The words of the system for what usually goes wrong before an HTTP status is there. */
function explain(code: string, message: string): string {
  switch (code) {
    case 'ECONNREFUSED':
      return `connection refused (${message})`;
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      // of the server, or of the proxy that is asked for it
      return `a name does not resolve (${message})`;
    case 'ECONNRESET':
    case 'EPIPE':
      return 'the connection was cut';
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
      return `the certificate of the server is not signed by the authority of the kubeconfig (${message})`;
    default:
      return message === '' ? code : message.replace(/^Bad response: (?=\d+$)/, 'the proxy answered HTTP ');
  }
}

/** The failure of an HTTP status, with the words of the `Status` object in the body where there is one. */
export function failureOf(status: number, body: string, what: string): CollectError {
  const said = statusMessage(body);
  const text = said === null ? `${what}: HTTP ${status}` : said;
  if (status === 401) {
    const message = `the server does not accept the credentials of the kubeconfig (401: ${text}); they may have expired`;
    return new CollectError('forbidden', message, status);
  }
  if (status === 403) return new CollectError('forbidden', text, status);
  if (status === 404 || status === 410) return new CollectError('gone', text, status);
  if (status === 408 || status === 504) return new CollectError('timeout', text, status);
  if (status === 429 || status >= 500) return new CollectError('unreachable', text, status);
  return new CollectError('refused', text, status);
}

function statusMessage(body: string): string | null {
  const plain = body.trim();
  if (!plain.startsWith('{')) return plain === '' ? null : plain.split('\n', 1)[0]!.slice(0, 300);
  try {
    const parsed: unknown = JSON.parse(plain);
    if (typeof parsed === 'object' && parsed !== null && 'message' in parsed && typeof parsed.message === 'string') {
      return parsed.message === '' ? null : parsed.message.slice(0, 600);
    }
    return null;
  } catch {
    return null;
  }
}
