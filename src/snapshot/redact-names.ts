import { createHmac, randomBytes } from 'node:crypto';
import { buffer as readAll } from 'node:stream/consumers';
import { memorySnapshot } from './memory.js';
import { Addresses } from './redact-addresses.js';
import { manifestText, type SnapshotSink, type WrittenManifest } from './write.js';

/**
 * Words that are no names of a person's things: of Istio, Kubernetes, Envoy, the kernel, and DNS. A workload that is called
 * by one of them keeps its name, since the same word elsewhere means something.
 */
const RESERVED = new Set(
  (
    'istio istio-system istiod ztunnel waypoint istio-cni istio-cni-node istio-proxy istio-init istio-validation install-cni ' +
    'istio-ingress istio-egress istio-ingressgateway istio-egressgateway istio-eastwestgateway istio-remote istio-waypoint ' +
    'kube-system kube-public kube-node-lease kube-root-ca kubernetes kube-dns kube-proxy coredns default system pilot proxy ' +
    'istio-ca-root-cert istio-sidecar-injector istio-gateway-class-defaults istio-cni-config discovery mesh ambient sidecar ' +
    'gateway ingress egress ingressgateway egressgateway node nodes pod pods service services namespace cluster local svc ' +
    'inbound outbound passthrough passthroughcluster blackholecluster http https http2 grpc tcp udp tls mtls hbone dns app apps name ' +
    'version v1 v2 v3 v1beta1 v1alpha1 v1alpha2 latest stable canary true false none all any auto enabled disabled allow deny ' +
    'get post put delete head host path port ip ipv4 ipv6 strict permissive disable root main test prod dev linux amd64 arm64 ' +
    'com org net io www example localhost nat mangle filter raw security eth0 lo accept drop return input output forward ' +
    'prerouting postrouting redirect metrics status admin health web-status tcp-status status-port controller client server'
  ).split(' '),
);

/** Keys whose value is a name, in any object of the API. */
const NAME_KEYS = new Set([
  'name',
  'namespace',
  'serviceAccountName',
  'serviceAccount',
  'nodeName',
  'generateName',
  'hostname',
  'subdomain',
]);
const HOST_KEYS = new Set(['host', 'hosts', 'hostnames', 'hostname', 'dnsNames', 'domains']);
const ISTIO_IMAGE = /(?:^|\/)(pilot|proxyv2|install-cni|ztunnel|kube-proxy)(?::([\w.-]+))?(?:@.*)?$/;

/** Lists of any cluster; a file of a further cluster. */
const LIST = /^(?:clusters\/[^/]+\/)?kubernetes\//;
const OTHER = /^clusters\/([^/]+)\/(.+)$/;

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/**
 * Holds back all files until `end()`, then hands them on with other names and addresses, the same ones everywhere. Which
 * names there are is only known when all lists are read. Whole words are replaced, part by part of a dashed name, so that a
 * pod keeps the prefix of its owner; addresses keep their common prefixes, so that routes still match.
 */
export function pseudonymizingSink(inner: SnapshotSink): SnapshotSink & { readonly end: () => void } {
  const files = new Map<string, string>();
  let last: WrittenManifest | null = null;
  return {
    put: (file, text) => {
      files.set(file, text);
    },
    stream: async (file, chunks) => {
      const whole = await readAll(chunks);
      files.set(file, whole.toString('utf8'));
      return whole.length;
    },
    manifest: (manifest) => {
      last = manifest;
    },
    snapshot: (name) => memorySnapshot(files, { name }),
    end: () => {
      const renamer = new Renamer(randomBytes(32));
      for (const [file, text] of files) if (LIST.test(file)) renamer.learn(parse(text));
      for (const [file, text] of files) inner.put(renamer.path(file), renamer.file(file, text));
      if (last !== null) inner.manifest(renamer.manifest(last, 'pseudonymized'));
    },
  };
}

function parse(text: string): Json {
  return JSON.parse(text) as Json;
}

class Renamer {
  private readonly names = new Map<string, string>();
  private readonly key: Buffer;
  private readonly addresses: Addresses;
  private readonly clusters = new Map<string, number>();

  constructor(key: Buffer) {
    this.key = key;
    this.addresses = new Addresses(key);
  }

  /** Takes the names of one list: of objects, their labels, and the hosts that they speak of. */
  learn(value: Json, key = '', parent = ''): void {
    if (Array.isArray(value)) {
      for (const item of value) this.learn(item, key, parent);
    } else if (typeof value === 'object' && value !== null) {
      for (const [name, item] of Object.entries(value)) this.learn(item, name, key);
    } else if (typeof value === 'string') {
      if (HOST_KEYS.has(key)) for (const label of value.split('.')) this.add(label);
      else if (parent === 'labels' || parent === 'matchLabels') {
        if (
          !/(?:istio|kubernetes|k8s)\.io\//.test(key) ||
          /canonical-name|gateway-name|hostname|use-waypoint/.test(key)
        )
          this.add(value);
      } else if (NAME_KEYS.has(key) && parent !== 'env' && parent !== 'ports') this.add(value);
    }
  }

  private add(name: string): void {
    if (!/^[a-zA-Z][a-zA-Z0-9.-]{1,252}$/.test(name)) return;
    for (const word of name.split('.')) {
      const lower = word.toLowerCase();
      if (word.length < 2 || RESERVED.has(lower) || lower.startsWith('kube-') || lower.startsWith('istio-')) continue;
      if (!this.names.has(word)) this.names.set(word, this.pseudonym(word));
    }
  }

  private pseudonym(word: string): string {
    return `n${createHmac('sha256', this.key).update(word).digest('hex').slice(0, 7)}`;
  }

  /** The longest known name that the dashed word begins with is replaced, and so on with what follows it. */
  private word(word: string): string {
    const parts = word.split('-');
    const out: string[] = [];
    for (let at = 0; at < parts.length;) {
      let end = parts.length;
      while (end > at && !this.names.has(parts.slice(at, end).join('-'))) end--;
      if (end === at) {
        out.push(parts[at] ?? '');
        at++;
      } else {
        const known = parts.slice(at, end);
        out.push(this.longest(known));
        at = end;
      }
    }
    return out.join('-');
  }

  /** `sleep-56df5b9cc9-w667b` is itself a name: it becomes what `sleep` becomes, with the same endings. */
  private longest(parts: readonly string[]): string {
    for (let end = 1; end < parts.length; end++) {
      const head = this.names.get(parts.slice(0, end).join('-'));
      if (head !== undefined) return [head, this.tail(parts.slice(end))].join('-');
    }
    return this.names.get(parts.join('-')) ?? parts.join('-');
  }

  private tail(parts: readonly string[]): string {
    // hashes of a ReplicaSet and of a pod say nothing; words do
    return parts
      .map((part) => (/\d/.test(part) || part.length <= 2 ? part : (this.names.get(part) ?? this.pseudonym(part))))
      .join('-');
  }

  text(text: string): string {
    const renamed = text.replace(/[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*/g, (word) => this.word(word));
    return this.addresses.text(renamed);
  }

  path(file: string): string {
    const [, folder, inside] = OTHER.exec(file) ?? [];
    if (folder !== undefined && inside !== undefined) return `clusters/${this.cluster(folder)}/${this.path(inside)}`;
    if (file.startsWith('kubernetes/') || file === 'snapshot.json') return file;
    const [root = '', ...rest] = file.split('/');
    const named = root === 'pods' ? 2 : 1;
    return [root, ...rest.map((part, index) => (index < named ? this.text(part) : part))].join('/');
  }

  /** The context says whose cluster it is. */
  private cluster(folder: string): string {
    const number = this.clusters.get(folder) ?? this.clusters.size + 2;
    this.clusters.set(folder, number);
    return `cluster-${number}`;
  }

  file(file: string, text: string): string {
    const [, folder, inside] = OTHER.exec(file) ?? [];
    if (folder !== undefined && inside === 'snapshot.json') {
      return manifestText(this.manifest(JSON.parse(text) as WrittenManifest, this.cluster(folder)));
    }
    if (!file.endsWith('.json')) return this.text(text);
    try {
      return `${JSON.stringify(this.json(parse(text), '', ''))}\n`;
    } catch {
      return this.text(text);
    }
  }

  private json(value: Json, key: string, parent: string): Json {
    if (Array.isArray(value)) return value.map((item) => this.json(item, key, parent));
    if (typeof value === 'object' && value !== null) {
      const out: { [key: string]: Json } = {};
      for (const [name, item] of Object.entries(value)) {
        const own = key === 'annotations' && !/(?:istio|kubernetes|k8s)\.io\//.test(name);
        // maps of a dump have names and addresses as keys; those of labels and fields are words of their own
        const isName =
          /[./:]/.test(name) &&
          !/^(?:labels|annotations|matchLabels|selector|metadata|typed_.*|filter_metadata)$/.test(key);
        out[isName ? this.text(name) : name] = own ? '' : this.json(item, name, key);
      }
      return out;
    }
    if (typeof value !== 'string') return value;
    if (key === 'image' || key === 'imageID') return imageOf(value);
    // what a name of a port or a variable is, decides the protocol and the meaning
    if (key === 'name' && (parent === 'ports' || parent === 'env')) return value;
    if (
      key === '@type' ||
      key === 'apiVersion' ||
      key === 'kind' ||
      /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(value)
    ) {
      return value;
    }
    return this.text(value);
  }

  manifest(manifest: WrittenManifest, context: string): WrittenManifest {
    // whose default namespace it was says who it is, and no name of the snapshot is meant by it any more
    const { server, istio } = manifest.cluster;
    for (const { namespaces } of manifest.partial ?? []) for (const name of namespaces) this.add(name);
    return {
      ...manifest,
      cluster: { context, server, istio },
      scope: manifest.scope === null ? null : { ...manifest.scope, note: this.noteOf(manifest.scope.note) },
      problems: manifest.problems.map(({ file, reason }) => ({
        file: this.path(file),
        reason: this.reason(file, reason),
      })),
      ...(manifest.partial === undefined
        ? {}
        : {
            partial: manifest.partial.map(({ file, namespaces }) => ({
              file: this.path(file),
              namespaces: namespaces.map((name) => this.text(name)),
            })),
          }),
      sources: manifest.sources.map(({ path, by }) => ({ path: this.path(path), by: this.text(by) })),
    };
  }

  /** What a server says names users, namespaces and things that no list has; what cannot be reached has an address. */
  private reason(file: string, reason: string): string {
    if (file === '.') return reason.replace(/ \([^]*$/, '');
    const named = reason.replace(/User "[^"]*"/g, 'User "***"');
    for (const [, inside, object] of named.matchAll(/namespace "([^"]+)"|"([^"]+)" (?:is forbidden|not found)/g)) {
      this.add(inside ?? object ?? '');
    }
    return this.text(named);
  }

  private noteOf(note: string | null): string {
    return `names and addresses are not the real ones${note === null ? '' : `; ${this.text(note)}`}`;
  }
}

/** Releases are read off the tags of Istio's images; where other images come from is nobody's business. */
function imageOf(image: string): string {
  const [, name, tag] = ISTIO_IMAGE.exec(image) ?? [];
  return name === undefined ? 'registry.invalid/image' : `docker.io/istio/${name}${tag === undefined ? '' : `:${tag}`}`;
}
