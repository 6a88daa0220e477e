import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';

const TOOLS = path.join(import.meta.dirname, 'tools');
const VERSION = 'v1.34.2';

/** What must be there to build and run the cluster; null: all of it is. */
export function whyNotHere(): string | null {
  if (process.platform !== 'linux') return `needs Linux, this is ${process.platform}`;
  if (process.getuid?.() !== 0) return 'needs root, for network namespaces';
  for (const [tool, ...args] of [
    ['go', 'version'],
    ['ip', '-V'],
    ['iptables-restore', '--version'],
    ['ipset', 'version'],
    ['nsenter', '--version'],
  ]) {
    if (spawnSync(tool ?? '', args, { stdio: 'ignore' }).status !== 0) return `needs ${tool}`;
  }
  if (spawnSync('unshare', ['--net', 'true'], { stdio: 'ignore' }).status !== 0)
    return 'may not make network namespaces';
  return null;
}

/** Builds etcd, kube-apiserver and the kubelet stand-in; about ten minutes once, seconds from Go's build cache. */
export function buildTools(): string {
  const out = process.env['MESHPATH_TEST_BIN'] ?? path.join(homedir(), '.cache', 'meshpath-test-cluster', VERSION);
  mkdirSync(out, { recursive: true });
  const flags = ['k8s.io/client-go/pkg/version', 'k8s.io/component-base/version'].flatMap((pkg) => [
    `-X ${pkg}.gitVersion=${VERSION}`,
    `-X ${pkg}.gitMajor=1`,
    `-X ${pkg}.gitMinor=34`,
  ]);
  execFileSync('go', ['build', '-trimpath', '-ldflags', `-s -w ${flags.join(' ')}`, '-o', `${out}/`, './cmd/...'], {
    cwd: TOOLS,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-buildvcs=false' },
  });
  return out;
}
