import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { KINDS } from '../../src/collect/kinds.js';
import { openSnapshot } from '../../src/snapshot/open.js';
import type { Snapshot } from '../../src/snapshot/snapshot.js';
import { setClockOf } from '../recorded-clock.js';
import { buildTools, whyNotHere } from './build.js';
import { startControlPlane, type ControlPlane } from './control-plane.js';
import { makeNetwork, type Network } from './network.js';
import { itemsOf, loadObjects } from './objects.js';

const RECORDING = 'test/fixtures/recordings/coexistence-1.30.3/snapshot.tar.gz';

/** A running cluster that is what a recording was: its objects in a real API server, its network in real namespaces. */
export interface TestCluster {
  readonly recorded: Snapshot;
  readonly plane: ControlPlane;
  readonly folder: string;
  readonly kubeconfig: string;
  /** Kubeconfig file for a user with these rules; `server`: another address of the API server. */
  userWith(name: string, rules: readonly unknown[], server?: string): Promise<string>;
  /** The same where the rules hold in these namespaces only. */
  teamWith(name: string, rules: readonly unknown[], namespaces: readonly string[]): Promise<string>;
  adminAt(server: string): string;
  /** Where the stand-in finds what a pod is made of: dumps (`ztunnel-config_dump.json`), and `no-shell`. */
  podFile(pod: string, file: string): string;
  audit(): { readonly user: string; readonly verb: string; readonly uri: string }[];
  stop(): Promise<void>;
}

/**
 * Null where it cannot be built here; said aloud, and an error in CI, where it must run.
 */
export async function startCluster(): Promise<TestCluster | null> {
  const why = whyNotHere();
  if (why !== null) {
    if (process.env['CI'] === 'true') throw new Error(`the test cluster ${why}`);
    process.stderr.write(`\nSKIPPED: the tests against a real API server: the test cluster ${why}\n\n`);
    return null;
  }
  const bin = buildTools();
  const folder = mkdtempSync(path.join(tmpdir(), 'meshpath-cluster-'));
  const recorded = await openSnapshot(RECORDING);
  setClockOf(recorded);
  const kinds = (plural: string): ReturnType<typeof itemsOf> =>
    KINDS.filter((k) => k.plural === plural && k.group === '').flatMap((kind) => itemsOf(recorded, kind));
  let network: Network | null = null;
  let plane: ControlPlane | null = null;
  let standIn: ChildProcess | null = null;
  const stop = async (): Promise<void> => {
    standIn?.kill('SIGKILL');
    await plane?.stop();
    network?.remove();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    plane = await startControlPlane(bin, path.join(folder, 'plane'));
    const uids = await loadObjects(plane, recorded);
    network = makeNetwork(renamed(recorded, uids), kinds('pods'), kinds('nodes'), folder);
    const config = path.join(folder, 'stand-in.json');
    writeFileSync(config, JSON.stringify(network.config));
    standIn = await startStandIn(bin, config);
  } catch (error) {
    await stop();
    throw error;
  }
  const running = plane;
  const file = (name: string, text: string): string => {
    const target = path.join(folder, name);
    writeFileSync(target, text, { mode: 0o600 });
    return target;
  };
  return {
    recorded,
    plane: running,
    folder,
    kubeconfig: file('kubeconfig', running.kubeconfig(running.adminToken)),
    userWith: async (name, rules, server) =>
      file(`kubeconfig-${name}`, running.kubeconfig(await user(running, name, rules), server)),
    teamWith: async (name, rules, namespaces) =>
      file(`kubeconfig-${name}`, running.kubeconfig(await user(running, name, rules, namespaces))),
    adminAt: (server) => file(`kubeconfig-${new URL(server).port}`, running.kubeconfig(running.adminToken, server)),
    podFile: (pod, name) => path.join(folder, 'pods', pod, name),
    audit: () =>
      readFileSync(running.auditLog, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => {
          const event = JSON.parse(line) as { user: { username: string }; verb: string; requestURI: string };
          return { user: event.user.username, verb: event.verb, uri: event.requestURI };
        }),
    stop,
  };
}

/** The recording with the uids that the API server has given: dumps and sets speak of pods by them. */
function renamed(snapshot: Snapshot, uids: ReadonlyMap<string, string>): Snapshot {
  return {
    ...snapshot,
    read: (file) => {
      const read = snapshot.read(file);
      if (read.kind !== 'text') return read;
      const text = read.text.replace(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, (uid) => uids.get(uid) ?? uid);
      return { ...read, text };
    },
  };
}

/** A ServiceAccount with a ClusterRole of its own, bound everywhere or in some namespaces; gives a token of it. */
async function user(
  plane: ControlPlane,
  name: string,
  rules: readonly unknown[],
  namespaces: readonly string[] | 'all' = 'all',
): Promise<string> {
  const rbac = '/apis/rbac.authorization.k8s.io/v1';
  await plane.request('POST', '/api/v1/namespaces/default/serviceaccounts', { metadata: { name } }, [409]);
  await plane.request('POST', `${rbac}/clusterroles`, { metadata: { name }, rules }, [409]);
  const bindings =
    namespaces === 'all'
      ? [`${rbac}/clusterrolebindings`]
      : namespaces.map((namespace) => `${rbac}/namespaces/${namespace}/rolebindings`);
  const binding = {
    metadata: { name },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
    subjects: [{ kind: 'ServiceAccount', namespace: 'default', name }],
  };
  for (const url of bindings) await plane.request('POST', url, binding, [409]);
  const token = (await plane.request('POST', `/api/v1/namespaces/default/serviceaccounts/${name}/token`, {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: {},
  })) as { status: { token: string } };
  return token.status.token;
}

function startStandIn(bin: string, config: string): Promise<ChildProcess> {
  return new Promise((resolve, reject) => {
    const child = spawn(path.join(bin, 'kubelet-stand-in'), [config], { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
    child.on('exit', (code) => reject(new Error(`kubelet-stand-in ended (${code}): ${said.slice(-500)}`)));
    child.stdout.on('data', (chunk: Buffer) => {
      if (chunk.toString().includes('ready')) resolve(child);
    });
  });
}
