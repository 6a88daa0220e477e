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
  for (const item of asArray(exec['env'])) {
    const name = asString(at(item, 'name'));
    if (name !== null) env[name] = asString(at(item, 'value')) ?? '';
  }
  env['KUBERNETES_EXEC_INFO'] = JSON.stringify({ apiVersion, kind: 'ExecCredential', spec });
  const args = asArray(exec['args']).flatMap((argument) => asString(argument) ?? []);
  const output = await run(command, args, { env, hint: asString(exec['installHint']), signal });
  return parseCredential(output, command);
}

/** Milliseconds that a plugin has to tidy up once it is stopped. */
const GRACE = 500;

interface RunOptions {
  readonly env: NodeJS.ProcessEnv;
  /** Where to get the command. */
  readonly hint: string | null;
  readonly signal: AbortSignal;
}

function run(command: string, args: readonly string[], { env, hint, signal }: RunOptions): Promise<string> {
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
    const done = (): void => {
      for (const timer of timers) clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    };
    let out = '';
    let err = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
    child.on('error', (error) => {
      done();
      const suffix = hint === null ? '' : ` ${hint.trim()}`;
      reject(new KubeconfigError(`the credential plugin ${command} cannot be run (${error.message}).${suffix}`));
    });
    child.on('close', (code, killed) => {
      done();
      if (ended !== null) return reject(endOf(ended, command));
      if (code === 0) return resolve(out);
      // the kubeconfig is right: who it speaks for is not logged in (any more)
      const how = code ?? killed ?? 'no exit status';
      reject(
        new CollectError('forbidden', `the credential plugin ${command} failed (${how}): ${err.trim().slice(0, 500)}`),
      );
    });
  });
}

function endOf(why: 'late' | 'stopped', command: string): CollectError {
  return why === 'stopped'
    ? new CollectError('cancelled', 'interrupted')
    : new CollectError('timeout', `the credential plugin ${command} gave no answer in ${DEADLINE / 1000} s`);
}

function parseCredential(output: string, command: string): Held {
  let status: Doc | null = null;
  try {
    status = asRecord(at(JSON.parse(output), 'status'));
  } catch {
    // said below, without the output: it may hold the token
  }
  if (status === null) throw new KubeconfigError(`the credential plugin ${command} printed no ExecCredential`);
  const expires = Date.parse(asString(status['expirationTimestamp']) ?? '');
  return {
    credential: {
      token: asString(status['token']),
      cert: asString(status['clientCertificateData']),
      key: asString(status['clientKeyData']),
    },
    until: Number.isNaN(expires) ? Number.POSITIVE_INFINITY : expires - 10_000,
  };
}
