import type { Severity, Verdict } from '../walk/trace.js';
import { atLeast } from '../mesh/release.js';
import type { Check, CheckContext, Draft } from './context.js';
import { Results } from './result.js';
import { keyOf, subjectOf } from './subjects.js';
import { clientsOf, endpointsOf, servesHbone, tunnelExpected, type Client, type ClientEndpoint } from './tunnel.js';

const FAILS: readonly Verdict[] = ['refused', 'dropped', 'denied', 'error'];

/** Whether a client's Envoy has the endpoint as HBONE or plain, against what istiod's rule and the pod itself say. */
export const check: Check = {
  code: 'MP0102',
  title: 'Endpoint has the wrong address type',
  severity: 'error',
  depth: 1,
  inputs: [
    'kubernetes/configmaps.json',
    'kubernetes/deployments.apps.json',
    'kubernetes/namespaces.json',
    'kubernetes/pods.json',
    'nodes/*/netns/*',
    'pods/*/*/envoy/*',
  ],
  mayRead: [
    'kubernetes/daemonsets.apps.json',
    'kubernetes/destinationrules.networking.istio.io.json',
    'kubernetes/peerauthentications.security.istio.io.json',
    'pods/*/*/netns/*',
    'pods/*/*/ztunnel/config_dump.json',
    'snapshot.json',
  ],
  run: (context) => {
    const results = new Results();
    for (const client of clientsOf(context, (unknown) => results.open(unknown))) {
      // What is wrong in the same way with several endpoints of one cluster is one finding.
      const groups = new Map<string, Draft[]>();
      for (const found of endpointsOf(context, client)) {
        const draft = judge(context, results, client, found);
        if (draft === null) continue;
        const key = `${found.cluster} ${String(draft.severity)} ${String(draft.depth)} ${draft.fix.slice(0, 12)}`;
        groups.set(key, [...(groups.get(key) ?? []), draft]);
      }
      for (const drafts of groups.values()) results.find(joined(drafts));
    }
    return results.result();
  },
};

/** What is wrong with one endpoint; null: nothing, or it is not known. */
function judge(context: CheckContext, results: Results, client: Client, found: ClientEndpoint): Draft | null {
  const expected = tunnelExpected(context, client, found);
  if (expected.kind === 'unknown') results.open(expected.unknown);
  if (found.endpoint.addressType === 'envoy_internal_address') {
    const serves = servesHbone(context, found.pod);
    if (serves.kind === 'unknown') results.open(serves.unknown);
    if (serves.kind === 'known' && serves.value !== null) {
      return draftOf(client, found, {
        severity: 'error',
        depth: 2,
        what: `is a tunnel (HBONE to 15008), but ${keyOf(found.pod)} cannot take HBONE: ${serves.value.reason}`,
        effect: 'Connections to it fail',
        fix: `Repair what takes HBONE at pod ${keyOf(found.pod)}, or recreate it: \`kubectl delete pod -n ${found.pod.namespace} ${found.pod.name}\`.`,
        evidence: serves.value.evidence,
      });
    }
    if (found.endpoint.internalListener !== null && !client.envoy.listeners.includes(found.endpoint.internalListener)) {
      return draftOf(client, found, {
        severity: 'error',
        depth: 0,
        what: `is a tunnel through the internal listener ${found.endpoint.internalListener}, which the proxy does not have`,
        effect: 'Connections to it fail in the client itself',
        fix: `Let istiod send HBONE configuration (PILOT_ENABLE_SENDING_HBONE), then restart the client: \`kubectl delete pod -n ${client.pod.namespace} ${client.pod.name}\`.`,
        evidence: [{ file: client.envoy.file, text: `no listener ${found.endpoint.internalListener}` }],
      });
    }
    const misfit = metadataMisfit(context, client, found);
    if (misfit !== null) {
      return draftOf(client, found, {
        severity: 'error',
        depth: 0,
        what: `is a tunnel whose metadata do not fit: ${misfit}`,
        effect: 'The proxy connects to the wrong place, or without HBONE',
        fix: `Compare what istiod sends with what the proxy has (\`istioctl proxy-status ${client.pod.name}.${client.pod.namespace}\`), then restart the proxy.`,
        evidence: [],
      });
    }
    if (expected.kind === 'known' && !expected.value.tunnel) {
      return draftOf(client, found, {
        severity: 'warning',
        depth: 2,
        what: `is a tunnel (HBONE), where the objects ask for a plain address: ${expected.value.reason}`,
        effect:
          'It works, but is not what the objects ask for: a push that did not arrive, or a flag that is not in the snapshot',
        fix: `Compare with istiod (\`istioctl proxy-status ${client.pod.name}.${client.pod.namespace}\`); a restart of the proxy fetches everything anew.`,
        evidence: expected.value.evidence,
      });
    }
    return null;
  }
  if (found.endpoint.addressType === 'socket_address' && expected.kind === 'known' && expected.value.tunnel) {
    return draftOf(client, found, {
      severity: 'error',
      depth: 1,
      what: `is a plain address, where the objects ask for a tunnel (HBONE): ${expected.value.reason}`,
      effect:
        'The client sends plaintext or Istio mTLS to the app port: ztunnel takes it as plaintext without identity, and STRICT refuses it',
      fix: `Compare with istiod (\`istioctl proxy-status ${client.pod.name}.${client.pod.namespace}\`), then restart the client's proxy: \`kubectl delete pod -n ${client.pod.namespace} ${client.pod.name}\`.`,
      evidence: expected.value.evidence,
    });
  }
  return null;
}

interface Words {
  readonly severity: Severity;
  readonly depth: 0 | 1 | 2;
  readonly what: string;
  readonly effect: string;
  readonly fix: string;
  readonly evidence: Draft['evidence'];
}

function draftOf(client: Client, found: ClientEndpoint, words: Words): Draft {
  return {
    severity: words.severity,
    depth: words.depth,
    subject: subjectOf(found.pod),
    message: `In the ${client.kind} ${keyOf(client.pod)} the endpoint ${found.endpoint.address} of cluster ${found.cluster} ${words.what}. ${words.effect}.`,
    fix: words.fix,
    evidence: [found.endpoint.evidence, ...words.evidence],
    effect: words.severity === 'error' ? { verdicts: FAILS, at: [keyOf(found.pod)] } : null,
  };
}

/** The first of several, with the others named. */
function joined(drafts: readonly Draft[]): Draft {
  const [first, ...more] = drafts;
  if (first === undefined) throw new Error('a group has a member');
  if (more.length === 0) return first;
  const others = more.slice(0, 5).map((draft) => `${draft.subject.namespace ?? ''}/${draft.subject.name}`);
  const rest = more.length > others.length ? ` and ${String(more.length - others.length)} more` : '';
  return {
    ...first,
    message: `${first.message} The same holds for ${others.join(', ')}${rest}.`,
    evidence: [...first.evidence, ...more.flatMap((draft) => draft.evidence.slice(0, 1))],
    effect: first.effect === null ? null : { ...first.effect, at: drafts.flatMap((draft) => draft.effect?.at ?? []) },
  };
}

/** What the address, its metadata and the transport socket match must agree on; null: they do. */
function metadataMisfit(context: CheckContext, client: Client, { endpoint, cluster }: ClientEndpoint): string | null {
  if (cluster.startsWith('outbound|') && endpoint.transportSocketMatch['tunnel'] !== 'http') {
    return 'no transport socket match tunnel=http, so the connection is made without HBONE';
  }
  const destination = endpoint.tunnel?.destination ?? null;
  const release = context.mesh.release('istiod');
  const modern = release !== null && atLeast(release, 22);
  if (
    modern &&
    client.kind === 'sidecar' &&
    endpoint.tunnel?.address != null &&
    !sameHost(endpoint.tunnel.address, endpoint.address)
  ) {
    return `they name the waypoint ${endpoint.tunnel.address}, and since 1.22 a sidecar is never sent through one`;
  }
  if (destination !== null && destination !== endpoint.address && endpoint.tunnel?.address == null) {
    return `the address is ${endpoint.address}, the metadata say ${destination}`;
  }
  return null;
}

function sameHost(a: string, b: string): boolean {
  return a.slice(0, a.lastIndexOf(':')) === b.slice(0, b.lastIndexOf(':'));
}
