import { modeOf } from '../mesh/modes.js';
import { effectivePeerAuthentication } from '../mesh/peer-authentication.js';
import { labelEvidence } from '../mesh/proxies.js';
import type { Pod } from '../formats/kubernetes-types.js';
import type { Check, CheckContext } from './context.js';
import { arrivesPlain, targetPort } from './destination.js';
import { redirectionOf } from './redirection.js';
import { listed, Results } from './result.js';
import { keyOf } from './subjects.js';

const MODE = 'istio.io/dataplane-mode';

/** Plaintext meets STRICT: from a client outside the mesh, or from one whose proxy does not encrypt this. */
export const check: Check = {
  code: 'MP3004',
  title: 'Plaintext client meets STRICT',
  severity: 'error',
  depth: 0,
  inputs: [
    'kubernetes/configmaps.json',
    'kubernetes/namespaces.json',
    'kubernetes/peerauthentications.security.istio.io.json',
    'kubernetes/pods.json',
  ],
  mayRead: [
    'kubernetes/daemonsets.apps.json',
    'kubernetes/deployments.apps.json',
    'nodes/*/netns/*',
    'pods/*/*/netns/*',
    'snapshot.json',
  ],
  run: (context) => {
    const { mesh, subjects } = context;
    const results = new Results();
    const refused: { readonly pod: Pod; readonly reason: string }[] = [];
    const evidence = [];
    for (const pod of subjects.destinations) {
      const { mode } = modeOf(mesh, pod);
      if (mode !== 'ambient' && mode !== 'sidecar') continue;
      const port = targetPort(context, pod);
      const peer = effectivePeerAuthentication(mesh, pod, port ?? 0);
      if (!sendsPlain(context, pod)) continue;
      for (const unknown of peer.unknowns) results.open(unknown);
      if (peer.mode !== 'STRICT') continue;
      refused.push({ pod, reason: peer.reason });
      evidence.push(...peer.evidence);
    }
    const first = refused[0];
    if (first === undefined) return results.result();
    const client = describeClient(context);
    results.find({
      title: client.outside ? 'Client outside the mesh meets STRICT' : 'Plaintext of a mesh client meets STRICT',
      subject: client.subject,
      message: `${client.text}, and STRICT mTLS holds for ${listed(refused.map((entry) => keyOf(entry.pod)))} (${first.reason}): the destination's ${modeOf(mesh, first.pod).mode === 'ambient' ? 'ztunnel' : 'sidecar'} refuses it.`,
      fix: `${client.fix}; or let plaintext in for this port (PeerAuthentication, portLevelMtls PERMISSIVE).`,
      evidence: [
        ...new Map(
          [...evidence, ...client.evidence].map((entry) => [`${entry.file} ${entry.pointer ?? ''}`, entry]),
        ).values(),
      ],
      effect: { verdicts: ['denied', 'error', 'refused'], at: refused.map((entry) => keyOf(entry.pod)) },
    });
    return results.result();
  },
};

/** What comes from outside is plaintext; what comes from the mesh is where the walk says so and it is not delivered. */
function sendsPlain(context: CheckContext, destination: Pod): boolean {
  const { mesh, subjects, question, paths } = context;
  const failing = paths.some(
    (path) => path.verdict !== 'delivered' && path.verdict !== 'unknown' && arrivesPlain(path),
  );
  const { source } = subjects;
  if (source !== null && modeOf(mesh, source).mode === 'plain') return true;
  const hostNode = question.sourceNode ?? (source?.hostNetwork === true ? source.node : null);
  if (hostNode !== null) return !hostSkipsZtunnel(context, hostNode, destination) && failing;
  return failing;
}

/** In-pod redirect: what the node's own sockets send to its ambient pods is given the probe address and skips ztunnel. */
function hostSkipsZtunnel(context: CheckContext, node: string, destination: Pod): boolean {
  if (destination.node !== node || modeOf(context.mesh, destination).mode !== 'ambient') return false;
  const redirection = redirectionOf(context, node);
  if (redirection.kind === 'unknown' || redirection.value.mode !== 'in-pod') return false;
  return !context.paths.some((path) => path.verdict === 'denied');
}

interface Described {
  readonly outside: boolean;
  readonly text: string;
  readonly fix: string;
  readonly subject: { readonly kind: string; readonly namespace: string | null; readonly name: string };
  readonly evidence: readonly { readonly file: string; readonly pointer?: string; readonly text: string }[];
}

function describeClient(context: CheckContext): Described {
  const { mesh, subjects, question } = context;
  const { source } = subjects;
  if (source === null) {
    const name = question.sourceNode ?? 'outside';
    return {
      outside: true,
      text:
        question.sourceNode === null
          ? 'A client outside the cluster sends plaintext'
          : `A process on node ${name} sends plaintext`,
      fix: 'Send it through a gateway',
      subject: { kind: question.sourceNode === null ? 'External' : 'Node', namespace: null, name },
      evidence: [],
    };
  }
  const subject = { kind: 'Pod', namespace: source.namespace, name: source.name };
  const mode = modeOf(mesh, source);
  const namespace = mesh.namespace(source.namespace);
  if (mode.mode === 'plain') {
    return {
      outside: true,
      text: `Pod ${keyOf(source)} is outside the mesh (no sidecar, not enrolled: ${mode.expected.reason}) and sends plaintext`,
      fix: `Enrol the client: \`kubectl label namespace ${source.namespace} ${MODE}=ambient\``,
      subject,
      evidence: [...(namespace === null ? [] : [labelEvidence(namespace, MODE)]), mode.decidedBy],
    };
  }
  if (mode.mode === 'hostNetwork') {
    return {
      outside: true,
      text: `Pod ${keyOf(source)} shares its node's network, so it is never in the mesh, and sends plaintext`,
      fix: 'Run the client without hostNetwork and enrol it',
      subject,
      evidence: [mode.decidedBy],
    };
  }
  return {
    outside: false,
    text: `Pod ${keyOf(source)} is in the mesh (${mode.mode}), but what it sends to ${question.service === null ? "a pod's own address" : 'this destination'} leaves as plaintext`,
    fix:
      question.service === null
        ? 'Call the Service instead of the pod'
        : `See why ${keyOf(source)} does not encrypt it`,
    subject,
    evidence: [mode.decidedBy],
  };
}
