import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Snapshot } from '../../src/snapshot/snapshot.js';
import { kubeletAddress, type Thing } from './objects.js';

/** What the stand-in needs to know (tools/cmd/kubelet-stand-in). */
export interface StandInConfig {
  readonly nodes: Record<string, { address: string; netns: string; listen: string[] }>;
  readonly pods: Record<string, StandInPod>;
}

interface StandInPod {
  node: string;
  netns: string;
  agent: boolean;
  /** While this file is there, its image has no shell. */
  noShell: string;
  cniFolder: string;
  podsOnNode: string[];
  admin: Record<string, string>;
  listen: string[];
  logs: Record<string, string>;
}

export interface Network {
  readonly config: StandInConfig;
  remove(): void;
}

const ADMIN_FILES: Record<string, string> = {
  'ztunnel/config_dump.json': '/config_dump',
  'envoy/config_dump.json': '/config_dump?include_eds',
  'envoy/clusters.json': '/clusters?format=json',
  'envoy/server_info.json': '/server_info',
};

/**
 * Makes the nodes and pods of a recording as network namespaces, with its addresses, rules, sets, policy routes and
 * listening sockets, wired as kindnet does: a veth per pod with the node's 10.244.N.1/32, nodes on one bridge.
 */
export function makeNetwork(
  snapshot: Snapshot,
  pods: readonly Thing[],
  nodes: readonly Thing[],
  folder: string,
): Network {
  const prefix = `mp${process.pid}`;
  const names: string[] = [];
  const add = (name: string): string => {
    ip('netns', 'add', name);
    names.push(name);
    run(name, 'ip', ['link', 'set', 'lo', 'up']);
    return name;
  };
  const remove = (): void => {
    for (const name of names) {
      try {
        ip('netns', 'del', name);
      } catch {
        // it was not made
      }
    }
  };
  try {
    const wire = add(`${prefix}-wire`);
    run(wire, 'ip', ['link', 'add', 'br0', 'type', 'bridge']);
    run(wire, 'ip', ['link', 'set', 'br0', 'up']);
    const config: StandInConfig = { nodes: {}, pods: {} };
    for (const node of nodes) {
      const name = node.metadata.name;
      const netns = add(`${prefix}-${name}`);
      config.nodes[name] = {
        address: `${kubeletAddress(name)}:10350`,
        netns,
        listen: listeners(snapshot, `nodes/${name}`),
      };
      ip('link', 'add', 'eth0', 'netns', netns, 'type', 'veth', 'peer', 'name', `p${name.slice(-4)}`, 'netns', wire);
      run(wire, 'ip', ['link', 'set', `p${name.slice(-4)}`, 'master', 'br0', 'up']);
      run(netns, 'ip', ['link', 'set', 'eth0', 'up']);
      addresses(snapshot, `nodes/${name}`, 'eth0', (address) =>
        run(netns, 'ip', ['address', 'add', address, 'dev', 'eth0']),
      );
    }
    for (const [index, pod] of pods.entries()) {
      const { namespace = '', name } = pod.metadata;
      const node = String(pod.spec?.['nodeName'] ?? '');
      const home = config.nodes[node];
      const address = String(pod.status?.['podIP'] ?? '');
      if (home === undefined || pod.spec?.['hostNetwork'] === true) continue;
      const netns = add(`${prefix}-p${index}`);
      const gateway = address.replace(/\.\d+$/, '.1');
      ip('link', 'add', 'eth0', 'netns', netns, 'type', 'veth', 'peer', 'name', `veth${index}`, 'netns', home.netns);
      run(home.netns, 'ip', ['address', 'add', `${gateway}/32`, 'dev', `veth${index}`]);
      run(home.netns, 'ip', ['link', 'set', `veth${index}`, 'up']);
      run(home.netns, 'ip', ['route', 'add', `${address}/32`, 'dev', `veth${index}`]);
      run(netns, 'ip', ['address', 'add', `${address}/24`, 'dev', 'eth0', 'noprefixroute']);
      run(netns, 'ip', ['link', 'set', 'eth0', 'up']);
      run(netns, 'ip', ['route', 'add', `${gateway}/32`, 'dev', 'eth0', 'scope', 'link', 'src', address]);
      run(netns, 'ip', ['route', 'add', 'default', 'via', gateway]);
      config.pods[`${namespace}/${name}`] = standInPod(snapshot, pod, node, netns, folder);
    }
    for (const pod of Object.values(config.pods)) {
      pod.podsOnNode = Object.values(config.pods).flatMap((p) => (p.node === pod.node ? [p.netns] : []));
    }
    for (const node of nodes)
      restore(snapshot, `nodes/${node.metadata.name}`, config.nodes[node.metadata.name]?.netns ?? '');
    for (const [id, pod] of Object.entries(config.pods)) restore(snapshot, `pods/${id}`, pod.netns);
    return { config, remove };
  } catch (error) {
    remove();
    throw error;
  }
}

function standInPod(snapshot: Snapshot, pod: Thing, node: string, netns: string, folder: string): StandInPod {
  const id = `${pod.metadata.namespace ?? ''}/${pod.metadata.name}`;
  const files = path.join(folder, 'pods', id);
  mkdirSync(files, { recursive: true });
  const admin: Record<string, string> = {};
  for (const [file, url] of Object.entries(ADMIN_FILES)) {
    const read = snapshot.read(`pods/${id}/${file}`);
    if (read.kind !== 'text') continue;
    const target = path.join(files, file.replace('/', '-'));
    writeFileSync(target, read.text);
    admin[url] = target;
  }
  const logs: Record<string, string> = {};
  for (const file of snapshot.list(`pods/${id}/logs`)) {
    const read = snapshot.read(`pods/${id}/logs/${file}`);
    const target = path.join(files, file);
    writeFileSync(target, read.kind === 'text' ? read.text : '');
    logs[file.replace(/\.log$/, '')] = target;
  }
  const agent = pod.metadata.labels?.['k8s-app'] === 'istio-cni-node';
  const cniFolder = agent ? path.join(folder, 'cni', node) : '';
  if (agent) {
    mkdirSync(cniFolder, { recursive: true });
    const conflist = { cniVersion: '0.3.1', name: 'kindnet', plugins: [{ type: 'ptp' }, { type: 'istio-cni' }] };
    writeFileSync(path.join(cniFolder, '10-kindnet.conflist'), JSON.stringify(conflist));
    writeFileSync(path.join(cniFolder, 'ZZZ-istio-cni-kubeconfig'), 'users: [{user: {token: swordfish}}]');
  }
  const listen = listeners(snapshot, `pods/${id}`);
  return {
    node,
    netns,
    agent,
    noShell: path.join(files, 'no-shell'),
    cniFolder,
    podsOnNode: [],
    admin,
    listen,
    logs,
  };
}

/** Where something listened, as the stand-in is to listen again; the admin port is its own. */
function listeners(snapshot: Snapshot, of: string): string[] {
  const found = new Set<string>();
  const sockets = snapshot.read(`${of}/netns/sockets.txt`);
  for (const line of sockets.kind === 'text' ? sockets.text.split('\n') : []) {
    const [state, , , local = ''] = line.split(/\s+/);
    if (state !== 'LISTEN' || local.startsWith('[') || local === '127.0.0.1:15000') continue;
    found.add(local.replace(/^\*:/, ':'));
  }
  return [...found];
}

/** Rules, sets, policy routes and the switches that routing hangs on, as they were recorded. */
function restore(snapshot: Snapshot, of: string, netns: string): void {
  const text = (file: string): string => {
    const read = snapshot.read(`${of}/netns/${file}`);
    return read.kind === 'text' ? read.text : '';
  };
  if (text('ipset-save.txt') !== '') run(netns, 'ipset', ['restore'], text('ipset-save.txt'));
  for (const [file, tool] of [
    ['iptables-save.txt', 'iptables-restore'],
    ['ip6tables-save.txt', 'ip6tables-restore'],
  ] as const) {
    if (text(file).includes('COMMIT')) run(netns, tool, ['-c'], text(file));
  }
  for (const rule of json(text('ip-rule.json'))) {
    const priority = Number(rule['priority']);
    if (priority === 0 || priority >= 32766 || rule['fwmark'] === undefined) continue;
    const mark = `${String(rule['fwmark'])}/${String(rule['fwmask'] ?? '0xffffffff')}`;
    run(netns, 'ip', ['rule', 'add', 'priority', String(priority), 'fwmark', mark, 'lookup', String(rule['table'])]);
  }
  for (const route of json(text('ip-route.json'))) {
    const table = String(route['table'] ?? 'main');
    if (table === 'local') continue;
    const args = ['route', 'replace', ...(route['type'] === undefined ? [] : [String(route['type'])])];
    args.push(String(route['dst']));
    if (route['gateway'] !== undefined) args.push('via', String(route['gateway']));
    const device = String(route['dev']);
    // those of pods have other device names here, and are there already
    if (/^veth/.test(device) || route['protocol'] === 'kernel') continue;
    args.push('dev', device, 'table', table);
    if (route['scope'] !== undefined) args.push('scope', String(route['scope']));
    try {
      run(netns, 'ip', args);
    } catch (error) {
      if (table !== 'main') throw error;
    }
  }
  const wanted =
    /^net\.ipv4\.(?:ip_forward|conf\.(?:all|default|eth0|lo)\.(?:rp_filter|accept_local|route_localnet|src_valid_mark)) = \d+$/gm;
  for (const line of text('sysctl.txt').match(wanted) ?? []) {
    run(netns, 'sysctl', ['-q', '-w', line.replaceAll(' ', '')]);
  }
}

function json(text: string): Record<string, unknown>[] {
  return text === '' ? [] : (JSON.parse(text) as Record<string, unknown>[]);
}

function addresses(snapshot: Snapshot, of: string, device: string, add: (address: string) => void): void {
  const read = snapshot.read(`${of}/netns/ip-address.json`);
  for (const link of read.kind === 'text' ? json(read.text) : []) {
    if (link['ifname'] !== device) continue;
    for (const entry of (link['addr_info'] ?? []) as Record<string, unknown>[]) {
      if (entry['family'] === 'inet') add(`${String(entry['local'])}/${String(entry['prefixlen'])}`);
    }
  }
}

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

function run(netns: string, tool: string, args: readonly string[], input = ''): void {
  execFileSync('ip', ['netns', 'exec', netns, tool, ...args], { input, stdio: ['pipe', 'ignore', 'pipe'] });
}
