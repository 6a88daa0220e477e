import { spawn } from 'node:child_process';
import path from 'node:path';
import { CollectError, KubeconfigError } from './errors.js';
import { asArray, asRecord, asString, at, type Doc } from './json.js';
import type { AuthInput } from './kubeconfig.js';

/** A plugin may open a browser and wait for a person; milliseconds. */
const DEADLINE = 60_000;

interface ExecCredential {
  readonly token: string | null;
  readonly cert: string | null;
  readonly key: string | null;
}

/**
 * A client-go credential plugin: `command` is run with KUBERNETES_EXEC_INFO (which the KubeConfig of
 * @kubernetes/client-node 1.4 leaves out), its answer kept until `expirationTimestamp`. `ca`: PEM of the cluster.
 */
export function execCredential(
  exec: Doc,
  input: AuthInput,
  ca: string | null,
): (signal: AbortSignal) => Promise<ExecCredential> {
  let held: Promise<Held> | null = null;
  const ask = (signal: AbortSignal): Promise<Held> => {
    const asked = runPlugin(exec, input, ca, signal);
    // one that was stopped says nothing about the next (a failed one does: nobody is asked to log in again and again)
    asked.catch((error: unknown) => {
      if (held === asked && error instanceof CollectError && error.kind === 'cancelled') held = null;
    });
    return asked;
  };
  return async (signal) => {
    for (;;) {
      held ??= ask(signal);
      const asked = held;
      try {
        const current = await asked;
        if (current.until > Date.now()) return current.credential;
        // of the requests that find it expired together, one asks again
        if (held === asked) held = ask(signal);
        return (await held).credential;
      } catch (error) {
        // stopped by the end of another request, which had started it
        if (!(error instanceof CollectError) || error.kind !== 'cancelled' || signal.aborted) throw error;
      }
    }
  };
}

interface Held {
  readonly credential: ExecCredential;
  /** Milliseconds of the clock. */
  readonly until: number;
}

async function runPlugin(exec: Doc, input: AuthInput, ca: string | null, signal: AbortSignal): Promise<Held> {
  const given = asString(exec['command']);
  if (given === null) throw new KubeconfigError(`context ${input.context}: its exec plugin names no command`);
  if (exec['interactiveMode'] === 'Always') {
    throw new KubeconfigError(
      `the credential plugin ${given} wants a terminal (interactiveMode: Always), which it has not here`,
    );
  }
  const command = given.includes('/') ? path.resolve(input.user.folder, given) : given;
  const apiVersion = asString(exec['apiVersion']) ?? 'client.authentication.k8s.io/v1';
  const spec: Record<string, unknown> = { interactive: false };
  if (exec['provideClusterInfo'] === true) {
    spec['cluster'] = {
      server: input.server.href.replace(/\/$/, ''),
      'certificate-authority-data': ca === null ? undefined : Buffer.from(ca, 'utf8').toString('base64'),
      'tls-server-name': input.cluster.body['tls-server-name'],
      'insecure-skip-tls-verify': input.cluster.body['insecure-skip-tls-verify'],
    };
  }
  const env: NodeJS.ProcessEnv = { ...process.env };
  for (const [index, item] of listOf(exec, 'env', input).entries()) {
    const name = textOf(at(item, 'name'), `env[${index}].name`, input);
    if (name === '') throw new KubeconfigError(`context ${input.context}: exec.env[${index}] of its user has no name`);
    env[name] = textOf(at(item, 'value'), `env[${index}].value`, input);
  }
  env['KUBERNETES_EXEC_INFO'] = JSON.stringify({ apiVersion, kind: 'ExecCredential', spec });
  const args = listOf(exec, 'args', input).map((argument, index) => textOf(argument, `args[${index}]`, input));
  const output = await run(command, args, { env, hint: asString(exec['installHint']), signal, tell: input.tell });
  return parseCredential(output, command, apiVersion);
}

/** What kubectl refuses to read is not made up for: `--flag 5` with the 5 left out is another command. */
function listOf(exec: Doc, field: string, input: AuthInput): readonly unknown[] {
  const value = exec[field] ?? [];
  if (!Array.isArray(value)) throw notText(`${field}`, 'list', input);
  return asArray(value);
}

function textOf(value: unknown, field: string, input: AuthInput): string {
  const text = asString(value ?? '');
  if (text === null) throw notText(field, 'text (put it in quotes)', input);
  return text;
}

function notText(field: string, wanted: string, input: AuthInput): KubeconfigError {
  return new KubeconfigError(`context ${input.context}: exec.${field} of its user is no ${wanted}`);
}

/** Milliseconds after which what a plugin has said is passed on, where it is still running: it may be waiting for a person. */
const PATIENCE = 300;

/** Milliseconds that a plugin has to tidy up once it is stopped. */
const GRACE = 500;

interface RunOptions {
  readonly env: NodeJS.ProcessEnv;
  /** Where to get the command. */
  readonly hint: string | null;
  readonly signal: AbortSignal;
  /** Shown what the plugin says while it runs. */
  readonly tell: (message: string) => void;
}

function run(command: string, args: readonly string[], { env, hint, signal, tell }: RunOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(new CollectError('cancelled', 'interrupted'));
    // a group of its own, so that what it starts ends with it
    const detached = process.platform !== 'win32';
    const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'], detached });
    const kill = (how: NodeJS.Signals): void => {
      try {
        if (detached && child.pid !== undefined) process.kill(-child.pid, how);
        else child.kill(how);
      } catch {
        // it has ended
      }
    };
    const timers: NodeJS.Timeout[] = [];
    let ended: 'late' | 'stopped' | null = null;
    const end = (why: 'late' | 'stopped'): void => {
      if (ended !== null) return;
      ended = why;
      kill('SIGTERM');
      timers.push(
        setTimeout(() => {
          kill('SIGKILL');
          // what has left its group may hold the pipes open
          child.stdout.destroy();
          child.stderr.destroy();
        }, GRACE),
      );
    };
    const onAbort = (): void => end('stopped');
    signal.addEventListener('abort', onAbort);
    timers.push(setTimeout(() => end('late'), DEADLINE));
    let told = 0;
    let telling: NodeJS.Timeout | null = null;
    const passOn = (): void => {
      tell(err.slice(told));
      told = err.length;
    };
    const done = (): void => {
      for (const timer of [...timers, telling]) if (timer !== null) clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    };
    let out = '';
    let err = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      err += text;
      if (telling !== null) clearTimeout(telling);
      telling = setTimeout(passOn, PATIENCE);
    });
    child.on('error', (error) => {
      done();
      const suffix = hint === null ? '' : ` ${hint.trim()}`;
      reject(new KubeconfigError(`the credential plugin ${command} cannot be run (${error.message}).${suffix}`));
    });
    child.on('close', (code, killed) => {
      done();
      if (ended !== null) return reject(endOf(ended, command, err));
      if (code === 0) return resolve(out);
      // the kubeconfig is right: who it speaks for is not logged in (any more)
      const how = code ?? killed ?? 'no exit status';
      reject(
        new CollectError('forbidden', `the credential plugin ${command} failed (${how}): ${err.trim().slice(0, 500)}`),
      );
    });
  });
}

function endOf(why: 'late' | 'stopped', command: string, said: string): CollectError {
  if (why === 'stopped') return new CollectError('cancelled', 'interrupted');
  const last = said.trim() === '' ? '' : `: ${said.trim().slice(-500)}`;
  return new CollectError('timeout', `the credential plugin ${command} gave no answer in ${DEADLINE / 1000} s${last}`);
}

/**
 * Refuses what client-go refuses (refreshCredsLocked of plugin/pkg/client/auth/exec/exec.go, k8s.io/client-go v0.34.2): who
 * has no credentials would ask as nobody, and be told what nobody may.
 */
function parseCredential(output: string, command: string, apiVersion: string): Held {
  // never the output itself: it may hold the token
  const refuse = (why: string): KubeconfigError => new KubeconfigError(`the credential plugin ${command} ${why}`);
  let answer: unknown = null;
  try {
    answer = JSON.parse(output);
  } catch {
    // said below
  }
  const status = asRecord(at(answer, 'status'));
  if (at(answer, 'kind') !== 'ExecCredential' || status === null) throw refuse('printed no ExecCredential');
  if (at(answer, 'apiVersion') !== apiVersion) throw refuse(`printed no ExecCredential of ${apiVersion}`);
  const [token, cert, key] = ['token', 'clientCertificateData', 'clientKeyData'].map(
    (name) => asString(status[name]) || null,
  );
  if ((cert == null) !== (key == null)) throw refuse('gave a certificate without its key, or a key alone');
  if (token == null && cert == null) throw refuse('gave neither a token nor a certificate with its key');
  const expires = Date.parse(asString(status['expirationTimestamp']) ?? '');
  return {
    credential: { token: token ?? null, cert: cert ?? null, key: key ?? null },
    until: Number.isNaN(expires) ? Number.POSITIVE_INFINITY : expires - 10_000,
  };
}
