import { isUnknown } from '../formats/evidence.js';
import { splitHostPort } from '../formats/ip.js';
import type { ZtunnelConnection, ZtunnelOutcome } from '../ztunnel/face.js';
import type { Connection, Opening } from './connect.js';
import { addressText } from './place.js';
import {
  acceptedPort,
  HBONE_PORT,
  INBOUND_PLAINTEXT_PORT,
  OUTBOUND_PORT,
  PROXY_ID,
  stopName,
  worksInPod,
  type Process,
} from './process.js';
import {
  decide,
  finish,
  giveUp,
  identityOf,
  nonEmpty,
  type Content,
  type Route,
  type Walked,
  type Walker,
} from './route.js';

/** Its DNS server in a pod's namespace (ztunnel src/config.rs). */
const DNS_PORT = 15053;
/** Mark that ztunnel puts on its sockets in a pod's namespace (ztunnel src/config.rs DEFAULT_INPOD_MARK, 1.21 to 1.31). */
const INPOD_MARK = 0x539;

/** What a ztunnel does with a connection that it accepted. */
export function throughZtunnel(
  walker: Walker,
  route: Route,
  process: Process & { kind: 'ztunnel' },
  connection: Connection,
  content: Content,
): readonly Walked[] {
  const name = stopName(process);
  if (process.own === null) {
    const fact = `which ztunnel handles the pods of node ${process.node}`;
    return [giveUp(route, { fact, reason: 'no ztunnel pod of that node is in kubernetes/pods.json' })];
  }
  const engine = walker.engines.ztunnel(process.own);
  if (isUnknown(engine)) return [giveUp(route, engine)];
  const inPod = worksInPod(process);
  const served = inPod ? process.serves : null;
  const port = acceptedPort(connection);
  const pod =
    served === null ? null : { namespace: served.namespace, name: served.name, serviceAccount: served.serviceAccount };
  const common = { src: connection.client.ip, identity: null, arrivedAt: null, pod };
  let question: ZtunnelConnection;
  switch (port) {
    case OUTBOUND_PORT:
      question = { ...common, direction: 'outbound', dst: addressText(connection.originalDst) };
      break;
    case INBOUND_PLAINTEXT_PORT:
      question = { ...common, direction: 'inbound-plaintext', dst: addressText(connection.originalDst) };
      break;
    case HBONE_PORT:
      if (content.connect === null || content.tls === null) {
        const what = content.tls === null ? 'plain text' : 'TLS without a CONNECT';
        return [finish(route, 'error', `${name} expects HBONE on 15008 and gets ${what}`)];
      }
      question = {
        ...common,
        direction: 'inbound',
        dst: content.connect,
        identity: content.tls.peer,
        arrivedAt: connection.originalDst.ip,
      };
      break;
    case DNS_PORT:
      return [
        giveUp(route, {
          fact: `which name is asked: ${name} answers names that it knows itself, and forwards others to the pod's resolver`,
          reason: 'the question does not say',
        }),
      ];
    default:
      return [finish(route, 'delivered', `${name} takes it itself on port ${port}`)];
  }
  return engine.decide(question).flatMap((outcome): readonly Walked[] => {
    const decided = decide(route, connection, process, outcome);
    switch (outcome.action) {
      case 'deny':
        return [finish(decided, 'denied', `${name} refuses it: ${outcome.error ?? outcome.policy ?? 'policy'}`)];
      case 'error':
        return [finish(decided, 'error', `${name}: ${outcome.error ?? 'error'}`)];
      case 'unknown':
        return [giveUp(decided, ...nonEmpty(outcome.unknowns, `what ${name} does with ${question.dst}`))];
      case 'forward':
        return forwarded(walker, decided, process, connection, content, question, outcome, inPod);
    }
  });
}

function forwarded(
  walker: Walker,
  route: Route,
  process: Process & { kind: 'ztunnel' },
  connection: Connection,
  content: Content,
  question: ZtunnelConnection,
  outcome: ZtunnelOutcome,
  inPod: boolean,
): readonly Walked[] {
  const dst = outcome.to === null ? null : splitHostPort(outcome.to);
  if (dst === null)
    return [giveUp(route, { fact: `where ${stopName(process)} connects to`, reason: `"${outcome.to}" is no address` })];
  const { mesh } = walker.engines;
  const opening: Opening = {
    from: process.place,
    uid: 0,
    gid: PROXY_ID,
    mark: inPod ? INPOD_MARK : 0,
    source: outcome.keepsSource ? connection.client.ip : null,
    dst: { ip: dst.host, port: dst.port },
    protocol: 'tcp',
    arrivesBy: null,
  };
  // Up to 1.21: ztunnel goes straight to the application of a pod on its own node, and acts for it then.
  const from: Process =
    outcome.viaFastPath === true ? { ...process, serves: mesh.podsByIp(dst.host)[0] ?? null } : process;
  const leg = { from, opening, endpointAddressType: null, decidedBy: outcome.decidedBy };
  const passed = question.direction === 'inbound' ? (content.inner ?? content) : content;
  if (outcome.protocol === 'tcp' || outcome.protocol === null) {
    return walker.proceed(route, { ...leg, content: passed });
  }
  const identity = identityOf(mesh, process.serves);
  const tunnelled: Content = {
    tls: { sni: null, alpn: ['h2'], peer: identity.value, own: true, accepts: outcome.identities },
    connect: outcome.target ?? addressText(connection.originalDst),
    inner: passed,
    http: null,
  };
  const known: Route = { ...route, assumptions: [...route.assumptions, ...identity.unknowns] };
  return walker.proceed(known, { ...leg, content: tunnelled });
}
