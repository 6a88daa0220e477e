import { spawn, type ChildProcess } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { createWriteStream, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** etcd and kube-apiserver of this run, in a folder of their own. */
export interface ControlPlane {
  readonly server: string;
  readonly ca: string;
  readonly adminToken: string;
  readonly auditLog: string;
  /** A request as administrator; gives the parsed body. Throws where the status is not 2xx or one of `accept`. */
  request(method: string, url: string, body?: unknown, accept?: readonly number[]): Promise<unknown>;
  kubeconfig(token: string, server?: string): string;
  stop(): Promise<void>;
}

const ADMIN = 'admin-of-the-test';

export async function startControlPlane(bin: string, folder: string): Promise<ControlPlane> {
  mkdirSync(folder, { recursive: true });
  const [client, peer, secure] = await Promise.all([freePort(), freePort(), freePort()]);
  const file = (name: string, text: string): string => {
    writeFileSync(path.join(folder, name), text, { mode: 0o600 });
    return path.join(folder, name);
  };
  const key = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  });
  const privateKey = file('sa.key', key.privateKey);
  const publicKey = file('sa.pub', key.publicKey);
  const tokens = file('tokens.csv', `${ADMIN},admin,1,"system:masters"\n`);
  const audit = file(
    'audit.yaml',
    'apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n',
  );
  const auditLog = path.join(folder, 'audit.log');
  const children: ChildProcess[] = [];
  const start = (name: string, args: readonly string[]): void => {
    const log = createWriteStream(path.join(folder, `${name}.log`));
    const child = spawn(path.join(bin, name), args, { stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.pipe(log);
    child.stderr.pipe(log);
    children.push(child);
  };
  start('etcd', [
    `--data-dir=${path.join(folder, 'etcd')}`,
    `--listen-client-urls=http://127.0.0.1:${client}`,
    `--advertise-client-urls=http://127.0.0.1:${client}`,
    `--listen-peer-urls=http://127.0.0.1:${peer}`,
    `--initial-advertise-peer-urls=http://127.0.0.1:${peer}`,
    `--initial-cluster=default=http://127.0.0.1:${peer}`,
    '--unsafe-no-fsync',
    '--log-level=warn',
  ]);
  start('kube-apiserver', [
    `--etcd-servers=http://127.0.0.1:${client}`,
    '--bind-address=127.0.0.1',
    '--advertise-address=127.0.0.1',
    `--secure-port=${secure}`,
    `--cert-dir=${folder}`,
    `--token-auth-file=${tokens}`,
    '--authorization-mode=RBAC',
    '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
    `--service-account-key-file=${publicKey}`,
    `--service-account-signing-key-file=${privateKey}`,
    '--service-cluster-ip-range=10.96.0.0/16',
    '--endpoint-reconciler-type=none',
    '--allow-privileged=true',
    // objects are written as they were recorded: nothing is to be added or refused for what is missing around them
    '--disable-admission-plugins=ServiceAccount,Priority,DefaultTolerationSeconds,TaintNodesByCondition',
    '--kubelet-preferred-address-types=InternalDNS',
    `--audit-policy-file=${audit}`,
    `--audit-log-path=${auditLog}`,
    '--v=0',
  ]);
  const server = `https://127.0.0.1:${secure}`;
  const plane: Omit<ControlPlane, 'ca'> & { ca: string } = {
    server,
    ca: '',
    adminToken: ADMIN,
    auditLog,
    request: (method, url, body, accept = []) => request(server, plane.ca, method, url, body, accept),
    kubeconfig: (token, at = server) => kubeconfigOf(token, at, plane.ca),
    stop: async () => {
      for (const child of children.reverse()) {
        if (child.exitCode !== null) continue;
        const gone = new Promise((resolve) => child.once('exit', resolve));
        child.kill('SIGTERM');
        const killer = setTimeout(() => child.kill('SIGKILL'), 3000);
        await gone;
        clearTimeout(killer);
      }
    },
  };
  try {
    const until = Date.now() + 90_000;
    for (;;) {
      try {
        plane.ca = readFileSync(path.join(folder, 'apiserver.crt'), 'utf8');
        await plane.request('GET', '/readyz');
        return plane;
      } catch (error) {
        if (Date.now() > until) throw new Error(`kube-apiserver did not come up (see ${folder}): ${String(error)}`);
        await sleep(200);
      }
    }
  } catch (error) {
    await plane.stop();
    throw error;
  }
}

function kubeconfigOf(token: string, server: string, ca: string): string {
  const authority = server.startsWith('https:')
    ? { 'certificate-authority-data': Buffer.from(ca).toString('base64') }
    : {};
  return JSON.stringify({
    'current-context': 'test',
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    clusters: [{ name: 'test', cluster: { server, ...authority } }],
    users: [{ name: 'test', user: { token } }],
  });
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

const agent = new https.Agent({ keepAlive: true, maxSockets: 16 });

function request(
  server: string,
  ca: string,
  method: string,
  url: string,
  body: unknown,
  accept: readonly number[],
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? '' : JSON.stringify(body);
    const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
    const headers = {
      Authorization: `Bearer ${ADMIN}`,
      'Content-Type': type,
      'Content-Length': Buffer.byteLength(text),
    };
    const call = https.request(`${server}${url}`, { method, ca, agent, headers }, (response) => {
      let answer = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (answer += chunk));
      response.on('end', () => {
        const status = response.statusCode ?? 0;
        if ((status < 200 || status > 299) && !accept.includes(status)) {
          reject(new Error(`${method} ${url}: ${status} ${answer.slice(0, 600)}`));
        } else resolve(answer.startsWith('{') ? JSON.parse(answer) : answer);
      });
    });
    call.on('error', reject);
    call.end(text);
  });
}
