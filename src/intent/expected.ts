import { joinHostPort } from '../formats/ip.js';
import type { Pod } from '../formats/kubernetes-types.js';
import type { Mesh } from '../mesh/model.js';
import type { Question } from '../mesh/question.js';
import type { Path } from '../walk/trace.js';
import { captureOf, ztunnelStop } from './capture.js';
import { identityOf, type Asked } from './asked.js';
import { envoyClient, gatewayAnswer } from './client-envoy.js';
import { plainClient } from './client-plain.js';
import { ztunnelClient } from './client-ztunnel.js';
import { mergeWays } from './merge.js';
import type { HttpSeen } from './policy-match.js';
import { routesOfGateway } from './gateway-routes.js';
import { judged, type Caller } from './server.js';
import { targetsOfService } from './targets.js';
import { end, go, note, ownLink, plainLink, share, startAt, stopOfPod, type Ended, type Way } from './way.js';

/**
 * The ways that traffic should take by labels, policies and routes, in the shape of a trace: read from API objects alone,
 * every hop derived. What they do not decide is a path with the verdict `unknown` and its reason. NetworkPolicies are not
 * looked at: they are the network's, not the mesh's.
 */
export function expectedPaths(mesh: Mesh, question: Question): readonly Path[] {
  const asked: Asked = { mesh, question, http: httpOf(question) };
  return mergeWays(mesh, waysOf(asked));
}

function httpOf(question: Question): HttpSeen | null {
  if (question.protocol !== 'http') return null;
  const { destination } = question;
  const host = Object.entries(question.headers).find(([name]) =>
    ['host', ':authority'].includes(name.toLowerCase()),
  )?.[1];
  const named = 'host' in destination ? destination.host : destination.ip;
  return {
    method: question.method,
    path: question.path,
    host: host ?? (destination.port === 80 ? named : joinHostPort(named, destination.port)),
    headers: question.headers,
  };
}

function waysOf(asked: Asked): readonly Ended[] {
  const { mesh, question } = asked;
  const { source } = question;
  switch (source.kind) {
    case 'node': {
      const start = startAt({ role: 'workload', namespace: '', name: `node/${source.name}`, node: source.name });
      return entering(asked, start, source.node?.internalIps[0] ?? null, source.name);
    }
    case 'external':
      return entering(asked, startAt({ role: 'external', namespace: '', name: 'outside', node: '' }), null, null);
    case 'pod':
      return fromPod(asked, mesh, source.pod);
  }
}

function fromPod(asked: Asked, mesh: Mesh, pod: Pod): readonly Ended[] {
  const start = startAt(stopOfPod('workload', pod));
  const { destination } = asked.question;
  const ip = pod.ips[0] ?? null;
  if (destination.kind === 'pod' && !pod.hostNetwork && pod.ips.includes(destination.ip)) {
    const self = note(start, 'intercept', 'a pod reaches its own address over lo, past every proxy');
    const to = plainLink(destination.ip, destination.port);
    return [end(go(self, to, stopOfPod('workload', pod)), 'delivered', 'the application gets it')];
  }
  const hostOf = pod.hostNetwork ? pod.node : null;
  const capture = captureOf(mesh, pod);
  if (asked.question.protocol === 'udp') {
    if (destination.port === 53 && (capture.by === 'ztunnel' || capture.by === 'sidecar')) {
      return [end(start, 'unknown', 'whether its proxy takes DNS (DNS capture) is not derived from API objects')];
    }
    return plainClient(asked, note(start, 'intercept', 'proxies take TCP only'), ip, hostOf);
  }
  const dst = 'ip' in destination ? destination.ip : null;
  const to = dst ?? ('host' in destination ? destination.host : '');
  switch (capture.by) {
    case 'unknown':
      return [end(start, 'unknown', `who takes the traffic of this pod: ${capture.reason}`)];
    case 'none':
      return entering(asked, start, ip, hostOf);
    case 'ztunnel': {
      const noted = note(start, 'intercept', `ztunnel takes its traffic: ${capture.reason}`, capture.evidence);
      const link = ownLink(to, destination.port, 'outbound-capture');
      return ztunnelClient(asked, go(noted, link, ztunnelStop(mesh, pod.node ?? '')), pod);
    }
    case 'sidecar': {
      const noted = note(start, 'intercept', `its sidecar takes its traffic: ${capture.reason}`, capture.evidence);
      const at = go(noted, ownLink(to, destination.port, 'outbound-capture'), stopOfPod('sidecar', pod));
      const caller: Caller = {
        identity: identityOf(mesh, pod),
        sourceIp: ip,
        http: asked.http,
        hostOf: null,
        waypoint: false,
        udp: false,
      };
      return envoyClient(asked, at, pod, 'sidecar', caller);
    }
    case 'gateway':
      return fromGateway(asked, pod);
    case 'waypoint':
      return [end(start, 'unknown', 'what a waypoint sends by itself is not derived from API objects')];
  }
}

/** A client without a proxy: a gateway that it calls takes over with its own routes. */
function entering(asked: Asked, way: Way, sourceIp: string | null, hostOf: string | null): readonly Ended[] {
  const { mesh, question } = asked;
  const { destination } = question;
  const gateways = gatewayPods(asked);
  if (gateways !== null && question.protocol !== 'udp') {
    return gateways.flatMap(({ pod, port }) =>
      throughGateway(asked, share(way, 1 / gateways.length), pod, port, sourceIp),
    );
  }
  if (question.source.kind === 'external' && destination.kind === 'service') {
    const { service } = destination;
    const reachable =
      service.loadBalancerIps.length > 0 || service.externalIps.length > 0 || destination.servicePort?.nodePort != null;
    if (!reachable) {
      const reason = `Service ${service.namespace}/${service.name} has no address outside the cluster`;
      return [end(way, 'unknown', reason, [service.evidence])];
    }
  }
  if (mesh.list('pods').state === 'missing') {
    return [end(way, 'unknown', 'the pods are not known')];
  }
  return plainClient(asked, way, sourceIp, hostOf);
}

/** What a gateway sends to a Service that one of its routes has chosen. */
function fromGateway(asked: Asked, pod: Pod): readonly Ended[] {
  const { mesh, question, http } = asked;
  const start = startAt(stopOfPod('gateway', pod));
  if (question.destination.kind !== 'service')
    return [end(start, 'unknown', 'what a gateway sends by itself is not derived from API objects')];
  return envoyClient(asked, start, pod, 'gateway', gatewayCaller(mesh, pod, http));
}

function gatewayCaller(mesh: Mesh, pod: Pod, http: Caller['http']): Caller {
  return {
    identity: identityOf(mesh, pod),
    sourceIp: pod.ips[0] ?? null,
    http,
    hostOf: null,
    waypoint: false,
    udp: false,
  };
}

/** The gateway pods that are called, with the port of their own that they listen on; null: no gateway is called. */
function gatewayPods({ mesh, question }: Asked): readonly { readonly pod: Pod; readonly port: number }[] | null {
  const { destination } = question;
  if (destination.kind === 'pod') {
    const pods = [destination.pod, ...destination.also];
    if (captureOf(mesh, destination.pod).by !== 'gateway') return null;
    return pods.map((pod) => ({ pod, port: destination.port }));
  }
  if (destination.kind !== 'service' || destination.servicePort === null) return null;
  const targets = targetsOfService(mesh, destination.service, destination.servicePort);
  if ('unknown' in targets) return null;
  const pods = targets.targets.flatMap(({ pod, port }) => (pod === null ? [] : [{ pod, port }]));
  const [first] = pods;
  return first !== undefined && captureOf(mesh, first.pod).by === 'gateway' ? pods : null;
}

function throughGateway(asked: Asked, way: Way, pod: Pod, port: number, sourceIp: string | null): readonly Ended[] {
  const { mesh, http } = asked;
  const at = go(way, plainLink(pod.ips[0] ?? '', port), stopOfPod('gateway', pod));
  if (http === null) return [end(at, 'unknown', 'where a gateway sends TCP is not derived from API objects')];
  const caller = gatewayCaller(mesh, pod, http);
  const result = judged<readonly Ended[]>(at, gatewayAnswer(asked, pod, sourceIp), (allowed) =>
    routesOfGateway(mesh, pod, gatewayPort(asked, port), http).flatMap((branch): readonly Ended[] => {
      const part = share(allowed, branch.share);
      if (branch.kind === 'end') return [end(part, branch.verdict, branch.reason, branch.evidence)];
      const { service, servicePort } = branch;
      const host = `${service.name}.${service.namespace}.svc.${mesh.clusterDomain()}`;
      const onward: Asked = {
        mesh,
        http,
        question: {
          ...asked.question,
          destination: {
            kind: 'service',
            service,
            ip: service.clusterIps[0] ?? null,
            port: branch.port,
            servicePort,
            host,
          },
        },
      };
      return envoyClient(onward, note(part, 'proxy', branch.reason, branch.evidence), pod, 'gateway', caller);
    }),
  );
  return [result].flat();
}

/** Listeners are declared on the Service's port, which a gateway that is called by its pod's port shares in all charts. */
function gatewayPort({ question }: Asked, port: number): number {
  return question.destination.kind === 'service' ? question.destination.port : port;
}
