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
export function execCredential(exec: Doc, input: AuthInput, ca: string | null): () => Promise<ExecCredential> {
  let held: Promise<{ readonly credential: ExecCredential; readonly until: number }> | null = null;
  return async () => {
    held ??= runPlugin(exec, input, ca);
    const asked = held;
    const current = await asked;
    if (current.until > Date.now()) return current.credential;
    // of the requests that find it expired together, one asks again
    if (held === asked) held = runPlugin(exec, input, ca);
    return (await held).credential;
  };
}

async function runPlugin(
  exec: Doc,
  input: AuthInput,
  ca: string | null,
): Promise<{ credential: ExecCredential; until: number }> {
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
  const output = await run(command, args, env, asString(exec['installHint']));
  return parseCredential(output, command);
}

function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv, hint: string | null): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill('SIGKILL');
      // what it has started may hold the pipes open
      child.stdout.destroy();
      child.stderr.destroy();
    }, DEADLINE);
    let out = '';
    let err = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
    child.on('error', (error) => {
      clearTimeout(timer);
      const suffix = hint === null ? '' : ` ${hint.trim()}`;
      reject(new KubeconfigError(`the credential plugin ${command} cannot be run (${error.message}).${suffix}`));
    });
    child.on('close', (code) => {
      clearTimeout(timer);
      if (late)
        reject(new CollectError('timeout', `the credential plugin ${command} gave no answer in ${DEADLINE / 1000} s`));
      else if (code === 0) resolve(out);
      else
        reject(
          // the kubeconfig is right: who it speaks for is not logged in (any more)
          new CollectError(
            'forbidden',
            `the credential plugin ${command} failed (${code}): ${err.trim().slice(0, 500)}`,
          ),
        );
    });
  });
}

function parseCredential(output: string, command: string): { credential: ExecCredential; until: number } {
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
