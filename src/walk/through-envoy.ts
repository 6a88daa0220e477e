import { isUnknown } from '../formats/evidence.js';
import type { EnvoyOutcome } from '../envoy/face.js';
import { splitHostPort } from '../formats/ip.js';
import type { Connection, Opening } from './connect.js';
import { addressText } from './place.js';
import {
  acceptedPort,
  HBONE_PORT,
  INBOUND_PLAINTEXT_PORT,
  listenerAddress,
  PROXY_ID,
  stopName,
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
import type { ProxyStart } from './walk.js';

/** What an Envoy does with a connection that it accepted. */
export function throughEnvoy(
  walker: Walker,
  route: Route,
  process: Process & { kind: 'envoy' },
  connection: Connection,
  content: Content,
): readonly Walked[] {
  const name = stopName(process);
  const engine = walker.engines.envoy(process.pod);
  if (isUnknown(engine)) return [giveUp(route, engine)];
  const listener = listenerAddress(connection);
  const port = acceptedPort(connection);
  const hbone = content.connect !== null && port === HBONE_PORT;
  if (port === HBONE_PORT && content.connect === null) {
    return [
      finish(
        route,
        'error',
        `${name} expects HBONE on 15008 and gets ${content.tls === null ? 'plain text' : 'other TLS'}`,
      ),
    ];
  }
  const inner = hbone ? (content.inner ?? content) : content;
  const outcomes = engine.decide({
    listener,
    src: addressText(connection.client),
    dst: addressText(connection.originalDst),
    tls: content.tls,
    connect: hbone ? { authority: content.connect ?? '', headers: {} } : null,
    innerTls: hbone ? inner.tls : null,
    http: inner.http,
  });
  // Host and path choose the route: without them the rest of the way is no more than likely.
  const open = (inner.http?.open ?? []).filter((part) => part.name.startsWith(':'));
  const assumptions = [...route.assumptions, ...open.map(({ fact, reason }) => ({ fact, reason }))];
  return followed(walker, { ...route, assumptions }, process, connection, inner, outcomes, port);
}

/** What an Envoy sends to a cluster that a route of it has chosen. */
export function fromEnvoy(walker: Walker, route: Route, start: ProxyStart): readonly Walked[] {
  const { process, cluster, client, dst, content } = start;
  const engine = walker.engines.envoy(process.pod);
  if (isUnknown(engine)) return [giveUp(route, engine)];
  const origin = { src: addressText(client), dst: addressText(dst), http: content.http };
  const outcomes = engine.originate(cluster, origin);
  return followed(walker, route, process, { place: process.place, client }, content, outcomes, null);
}

/** What became of it, outcome by outcome, each to its end. `port`: that the Envoy took it on. */
function followed(
  walker: Walker,
  route: Route,
  process: Process & { kind: 'envoy' },
  taken: Pick<Connection, 'place' | 'client'>,
  content: Content,
  outcomes: readonly EnvoyOutcome[],
  port: number | null,
): readonly Walked[] {
  const name = stopName(process);
  return outcomes.flatMap((outcome): readonly Walked[] => {
    const decided = decide(route, taken, process, outcome);
    switch (outcome.action) {
      case 'deny': {
        const by = outcome.policy === null ? 'no ALLOW policy admits it' : `policy ${outcome.policy}`;
        return [
          finish(
            decided,
            'denied',
            `${name} refuses it: ${by}${outcome.status === null ? '' : ` (HTTP ${outcome.status})`}`,
          ),
        ];
      }
      case 'respond':
        return [
          finish(
            decided,
            'error',
            `${name} answers itself with HTTP ${outcome.status ?? '?'}: ${outcome.reason ?? 'direct response'}`,
          ),
        ];
      case 'error':
        return [refused(decided, process, port, content, outcome)];
      case 'unknown':
        return [giveUp(decided, ...nonEmpty(outcome.unknowns, `what ${name} does with the request`))];
      case 'forward':
        return forwarded(walker, decided, process, taken, content, outcome);
    }
  });
}

/** No filter chain for plain text at a sidecar's inbound listener is what STRICT looks like. */
function refused(route: Route, process: Process, port: number | null, content: Content, outcome: EnvoyOutcome): Walked {
  const name = stopName(process);
  const reason = outcome.reason ?? 'error';
  const strict =
    port === INBOUND_PLAINTEXT_PORT && content.tls === null && /filter_chain_not_found|\bNR\b/.test(reason);
  if (strict)
    return finish(
      route,
      'denied',
      `${name} takes only mutual TLS here (STRICT): plain text has no filter chain (${reason})`,
    );
  return finish(route, 'error', `${name}: ${reason}`);
}

function forwarded(
  walker: Walker,
  route: Route,
  process: Process & { kind: 'envoy' },
  taken: Pick<Connection, 'client'>,
  inner: Content,
  outcome: EnvoyOutcome,
): readonly Walked[] {
  const target = outcome.hbone?.to ?? outcome.to;
  const dst = target === null ? null : splitHostPort(target);
  if (dst === null) {
    return [
      giveUp(route, {
        fact: `where ${stopName(process)} connects to`,
        reason: target === null ? 'no address' : `"${target}" is no address`,
      }),
    ];
  }
  const proxy = process.pod.containers.find((container) => container.name === 'istio-proxy');
  const opening: Opening = {
    from: process.place,
    uid: proxy?.runAsUser ?? PROXY_ID,
    gid: proxy?.runAsGroup ?? PROXY_ID,
    mark: 0,
    source: outcome.sourceBind ?? (outcome.keepsSource ? taken.client.ip : null),
    dst: { ip: dst.host, port: dst.port },
    protocol: 'tcp',
    arrivesBy: null,
  };
  const identity = identityOf(walker.engines.mesh, process.pod);
  const carried: Content = {
    tls:
      outcome.tls === null || outcome.tls === 'none'
        ? null
        : {
            sni: outcome.upstreamTls?.sni ?? null,
            alpn: outcome.upstreamTls?.alpn ?? [],
            peer: outcome.tls === 'mtls' ? identity.value : null,
            own: outcome.certificate === 'default',
            accepts: [],
          },
    connect: null,
    inner: null,
    http: outcome.upstreamHttp ?? inner.http,
  };
  const content: Content =
    outcome.hbone === null
      ? carried
      : {
          tls: { sni: null, alpn: ['h2'], peer: identity.value, own: outcome.certificate === 'default', accepts: [] },
          connect: outcome.hbone.authority,
          inner: carried,
          http: null,
        };
  const needsIdentity = outcome.hbone !== null || outcome.tls === 'mtls';
  const known: Route = needsIdentity ? { ...route, assumptions: [...route.assumptions, ...identity.unknowns] } : route;
  return walker.proceed(known, {
    from: process,
    opening,
    content,
    endpointAddressType: outcome.endpointAddressType,
    decidedBy: outcome.decidedBy,
  });
}
