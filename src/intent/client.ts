import { joinHostPort } from '../formats/ip.js';
import { toNumber } from '../formats/kubernetes-narrow.js';
import type { Pod, Service, ServiceEntry, ServicePort } from '../formats/kubernetes-types.js';
import { destinationRuleOf } from '../mesh/destination-rules.js';
import { labelsMatch } from '../mesh/labels.js';
import type { Mesh, WaypointBinding } from '../mesh/model.js';
import type { Destination, Question } from '../mesh/question.js';
import { atLeast } from '../mesh/release.js';
import { waypointOfObject, waypointOfPod, waypointOfService } from '../mesh/waypoints.js';
import { envoyAnswer, policiesOfPod, policiesOfWaypoint } from './policies.js';
import type { HttpSeen } from './policy-match.js';
import { routesOfService, type Branch } from './routes.js';
import { arrive, judged, type Caller } from './server.js';
import { headlessTargets, targetAt, targetsOfService, type Target, type Targets } from './targets.js';
import { envoyTransport, tunnelTransport, type Called, type Transport } from './transport.js';
import {
  attempt,
  end,
  go,
  hboneLink,
  note,
  plainLink,
  share,
  stopOfPod,
  type Ended,
  type Identity,
  type Way,
} from './way.js';

/** Everything about one question that does not change on its way. */
export interface Asked {
  readonly mesh: Mesh;
  readonly question: Question;
  readonly http: HttpSeen | null;
}

/** `fallback`: where no address is ready. */
function each(
  way: Way,
  targets: Targets,
  empty: (way: Way) => Ended,
  take: (way: Way, target: Target) => readonly Ended[],
): readonly Ended[] {
  if ('unknown' in targets) return [end(way, 'unknown', `${targets.unknown.fact}: ${targets.unknown.reason}`)];
  const count = targets.targets.length;
  if (count === 0) return [empty(way)];
  return targets.targets.flatMap((target) => take(share(way, 1 / count), target));
}

export function identityOf(mesh: Mesh, pod: Pod): Identity {
  return { trustDomain: mesh.trustDomain(), namespace: pod.namespace, serviceAccount: pod.serviceAccount };
}

/** By kube-proxy or straight: no proxy on the client's side. `hostOf`: node of a process that shares its network. */
export function plainClient(asked: Asked, way: Way, sourceIp: string | null, hostOf: string | null): readonly Ended[] {
  const { mesh, question, http } = asked;
  const caller: Caller = { identity: null, sourceIp, http, hostOf, waypoint: false };
  const plain = (reason: string): Transport => ({ by: 'plain', reason, evidence: [] });
  const { destination } = question;
  const take = (at: Way, target: Target): readonly Ended[] => [
    arrive(mesh, at, target, plain('the client is in no mesh'), caller),
  ];
  switch (destination.kind) {
    case 'service': {
      const targets = clientTargets(mesh, destination);
      if (targets === null) return [noSuchPort(way, destination)];
      return each(way, targets, (at) => end(at, 'refused', noEndpoint(destination.service)), take);
    }
    case 'serviceEntry': {
      const { entry, ip } = destination;
      if (ip === null) return [end(way, 'unknown', `what ${destination.host} resolves to is in no file`)];
      if (entry.endpoints.some((endpoint) => endpoint.address === ip))
        return take(way, targetAt(mesh, ip, destination.port));
      const reason = `${ip} is an address of ServiceEntry ${entry.namespace}/${entry.name}: only proxies know it`;
      return [end(attempt(way, plainLink(ip, destination.port)), 'error', reason, [entry.evidence])];
    }
    case 'host':
      return [end(way, 'unknown', `what ${destination.host} resolves to is in no file`)];
    case 'pod':
    case 'node':
    case 'address':
      return podTargets(asked, destination).flatMap(([target, part]) => take(share(way, part), target));
  }
}

function noEndpoint(service: Service): string {
  return `Service ${service.namespace}/${service.name} has no ready endpoint`;
}

function noSuchPort(way: Way, destination: Destination & { readonly kind: 'service' }): Ended {
  const { service, port } = destination;
  const reason = `Service ${service.namespace}/${service.name} has no port ${port}`;
  return end(way, 'error', reason, [service.evidence]);
}

/** Addresses behind a Service as a plain client gets them; null: it has no such port. */
function clientTargets(mesh: Mesh, destination: Destination & { readonly kind: 'service' }): Targets | null {
  const { service, port, servicePort } = destination;
  if (service.externalName !== null) {
    return { unknown: { fact: `address of ${service.externalName}`, reason: 'an ExternalName Service: DNS decides' } };
  }
  if (destination.ip === null) return headlessTargets(mesh, service, port);
  return servicePort === null ? null : targetsOfService(mesh, service, servicePort);
}

/** The addresses of a pod (or of the pods meant with it), node or plain address. */
function podTargets(
  { mesh }: Asked,
  destination: Extract<Destination, { readonly kind: 'pod' | 'node' | 'address' }>,
): readonly (readonly [Target, number])[] {
  if (destination.kind !== 'pod') return [[targetAt(mesh, destination.ip, destination.port), 1]];
  const { pod, also, ip, port } = destination;
  const others = also.flatMap((other) => other.ips[0] ?? []);
  const all = [{ pod, ip }, ...others.map((address, index) => ({ pod: also[index] ?? pod, ip: address }))];
  return all.map((one) => [{ pod: one.pod, ip: one.ip, port, evidence: [one.pod.evidence] }, 1 / all.length]);
}

/** ztunnel of the client's node: Service with waypoint, endpoint by HBONE or plain; everything else passes through. */
export function ztunnelClient(asked: Asked, way: Way, source: Pod): readonly Ended[] {
  const { mesh, question, http } = asked;
  const caller: Caller = {
    identity: identityOf(mesh, source),
    sourceIp: source.ips[0] ?? null,
    http,
    hostOf: null,
    waypoint: false,
  };
  const direct = (at: Way, target: Target): readonly Ended[] => {
    const binding = target.pod === null || target.pod.hostNetwork ? null : waypointOfPod(mesh, target.pod);
    return throughWaypoint(asked, at, binding, joinHostPort(target.ip, target.port), caller, null, (onward, by) => [
      arrive(mesh, onward, target, tunnelTransport(mesh, target), by),
    ]);
  };
  const { destination } = question;
  switch (destination.kind) {
    case 'service': {
      const { service, servicePort, ip } = destination;
      if (ip === null) {
        const targets = clientTargets(mesh, destination) ?? { targets: [] };
        return each(way, targets, (at) => end(at, 'unknown', `DNS has no address for ${destination.host}`), direct);
      }
      if (servicePort === null) return [noSuchPort(way, destination)];
      const targets = targetsOfService(mesh, service, servicePort);
      const release = mesh.release('istiod');
      if (release !== null && !atLeast(release, 22)) {
        // until 1.21 the waypoint is that of the chosen pod
        return each(
          way,
          targets,
          (at) => end(at, 'error', noEndpoint(service)),
          (at, target) => {
            const binding = target.pod === null ? null : waypointOfPod(mesh, target.pod);
            return throughWaypoint(
              asked,
              at,
              binding,
              joinHostPort(target.ip, target.port),
              caller,
              null,
              (onward, by) => [arrive(mesh, onward, target, tunnelTransport(mesh, target), by)],
            );
          },
        );
      }
      const binding = waypointOfService(mesh, service);
      const onward = (at: Way, by: Caller): readonly Ended[] =>
        by.waypoint
          ? fromWaypoint(asked, at, service, servicePort, by, binding)
          : each(
              at,
              targets,
              (none) => end(none, 'error', `no healthy upstream: ${noEndpoint(service)}`),
              (one, target) => [arrive(mesh, one, target, tunnelTransport(mesh, target), by)],
            );
      return throughWaypoint(asked, way, binding, joinHostPort(ip, destination.port), caller, service, onward);
    }
    case 'serviceEntry':
      return entryByZtunnel(asked, way, destination, caller);
    case 'host':
      return [end(way, 'unknown', `what ${destination.host} resolves to is in no file`)];
    case 'pod':
    case 'node':
    case 'address':
      return podTargets(asked, destination).flatMap(([target, part]) => direct(share(way, part), target));
  }
}

/**
 * HBONE to a pod of the waypoint where the binding is ready, with its policies; else straight on. Whatever else than ready
 * fails open.
 */
function throughWaypoint(
  asked: Asked,
  way: Way,
  binding: WaypointBinding | null,
  inner: string,
  caller: Caller,
  service: Service | ServiceEntry | null,
  onward: (way: Way, caller: Caller) => readonly Ended[],
): readonly Ended[] {
  const { mesh } = asked;
  if (binding === null || binding.state === 'none') return onward(way, caller);
  if (binding.state === 'unknown') return [end(way, 'unknown', `its waypoint: ${binding.reason}`, binding.evidence)];
  if (binding.state !== 'ready' || binding.gateway === null) {
    return onward(note(way, 'proxy', `${binding.reason}: traffic goes direct`, binding.evidence), caller);
  }
  const { gateway } = binding;
  const noted = note(way, 'proxy', binding.reason, binding.evidence);
  const ready = binding.pods.filter((pod) => pod.ready === true && pod.ips.length > 0);
  if (ready.length === 0) {
    return [end(noted, 'error', `no pod of waypoint ${gateway.namespace}/${gateway.name} is ready`, binding.evidence)];
  }
  const target =
    service === null
      ? null
      : {
          kind: service.kind === 'ServiceEntry' ? ('ServiceEntry' as const) : ('Service' as const),
          namespace: service.namespace,
          name: service.name,
        };
  return ready.flatMap((pod): readonly Ended[] => {
    const ip = pod.ips[0] ?? '';
    const at = go(share(noted, 1 / ready.length), hboneLink(ip, inner), stopOfPod('waypoint', pod));
    const seen = {
      identity: caller.identity,
      sourceIp: caller.sourceIp,
      destinationIp: null,
      port: asked.question.destination.port,
      http: asked.http,
    };
    const by: Caller = { ...caller, identity: identityOf(mesh, pod), sourceIp: ip, waypoint: true };
    const answer = envoyAnswer(mesh, policiesOfWaypoint(mesh, gateway, target), seen);
    const result = judged<readonly Ended[]>(at, answer, (allowed) => onward(allowed, by));
    return Array.isArray(result) ? result : [result].flat();
  });
}

/** A waypoint follows the routes of the Service, then goes to endpoints by HBONE or plain text. */
function fromWaypoint(
  asked: Asked,
  way: Way,
  service: Service,
  servicePort: ServicePort,
  caller: Caller,
  binding: WaypointBinding,
): readonly Ended[] {
  const { mesh, http } = asked;
  const toEndpoints = (at: Way, to: Service, port: ServicePort): readonly Ended[] =>
    each(
      at,
      targetsOfService(mesh, to, port),
      (none) => end(none, 'error', noEndpoint(to)),
      (one, target) => [arrive(mesh, one, target, tunnelTransport(mesh, target), caller)],
    );
  const namespace = binding.gateway?.namespace ?? service.namespace;
  const branches =
    http === null ? null : routesOfService(mesh, service, servicePort, http, { by: 'waypoint', namespace, labels: {} });
  if (branches === null) return toEndpoints(way, service, servicePort);
  return branches.flatMap((branch) => followed(way, branch, (at, to, port) => toEndpoints(at, to, port)));
}

function followed(
  way: Way,
  branch: Branch,
  take: (way: Way, service: Service, port: ServicePort, subset: string | null) => readonly Ended[],
): readonly Ended[] {
  const at = share(way, branch.share);
  if (branch.kind === 'end') return [end(at, branch.verdict, branch.reason, branch.evidence)];
  const noted = note(at, 'proxy', branch.reason, branch.evidence);
  if (branch.servicePort === null) {
    const { service, port } = branch;
    return [end(noted, 'error', `Service ${service.namespace}/${service.name} has no port ${port}`, branch.evidence)];
  }
  return take(noted, branch.service, branch.servicePort, branch.subset);
}

function entryByZtunnel(
  asked: Asked,
  way: Way,
  destination: Destination & { readonly kind: 'serviceEntry' },
  caller: Caller,
): readonly Ended[] {
  const { mesh } = asked;
  const binding = waypointOfObject(mesh, destination.entry, 'service');
  const inner = joinHostPort(destination.ip ?? destination.host, destination.port);
  return throughWaypoint(asked, way, binding, inner, caller, destination.entry, (at, by) =>
    toEntry(asked, at, destination, (one, target) => [arrive(mesh, one, target, tunnelTransport(mesh, target), by)]),
  );
}

/** Endpoints that a ServiceEntry declares, or pods that it selects; names that DNS must resolve end outside. */
function toEntry(
  asked: Asked,
  way: Way,
  destination: Destination & { readonly kind: 'serviceEntry' },
  take: (way: Way, target: Target) => readonly Ended[],
): readonly Ended[] {
  const { mesh } = asked;
  const { entry, ip, port, host } = destination;
  const declared = entry.ports.find((candidate) => candidate.number === port);
  const targetPort = declared?.targetPort ?? port;
  if (entry.resolution === 'NONE' && ip !== null) return take(way, targetAt(mesh, ip, port, [entry.evidence]));
  if (entry.workloadSelector !== null) {
    const selector = entry.workloadSelector;
    const targets = mesh
      .list('pods')
      .items.filter(
        (pod) => pod.namespace === entry.namespace && pod.ready === true && labelsMatch(selector, pod.labels),
      )
      .flatMap((pod) =>
        pod.ips[0] === undefined ? [] : [{ pod, ip: pod.ips[0], port: targetPort, evidence: [pod.evidence] }],
      );
    return each(
      way,
      { targets },
      (none) => end(none, 'error', `ServiceEntry ${entry.namespace}/${entry.name} selects no pod`),
      take,
    );
  }
  const targets: Target[] = [];
  for (const endpoint of entry.endpoints) {
    if (endpoint.address === null || targetAddress(endpoint.address) === null) continue;
    const own = declared?.name == null ? undefined : toNumber(endpoint.ports[declared.name]);
    targets.push(targetAt(mesh, endpoint.address, own ?? targetPort, [endpoint.evidence]));
  }
  if (targets.length > 0) return each(way, { targets }, (none) => none && end(none, 'error', ''), take);
  const outside = { role: 'external' as const, namespace: '', name: 'outside', node: '' };
  const to = joinHostPort(host, targetPort);
  const link = { protocol: 'tcp' as const, to, encrypted: false };
  const noted = note(way, 'connect', `${host} is resolved by DNS`, [entry.evidence]);
  return [end(go(noted, link, outside), 'delivered', `${host} outside the mesh gets it`)];
}

function targetAddress(text: string): string | null {
  return /^[0-9a-fA-F:.]+$/.test(text) && (text.includes(':') || /^\d+(\.\d+){3}$/.test(text)) ? text : null;
}

/** A sidecar or gateway: routes, cluster, endpoint, transport of its own configuration. */
export function envoyClient(
  asked: Asked,
  way: Way,
  proxy: Pod,
  by: 'sidecar' | 'gateway',
  caller: Caller,
): readonly Ended[] {
  const { mesh, question, http } = asked;
  const { destination } = question;
  switch (destination.kind) {
    case 'service': {
      const { service, servicePort, ip } = destination;
      if (service.externalName !== null)
        return [end(way, 'unknown', `an ExternalName Service: DNS decides where ${service.externalName} is`)];
      if (ip === null) return headlessByEnvoy(asked, way, destination, proxy, caller);
      if (servicePort === null)
        return [
          end(
            way,
            'unknown',
            `Service ${service.namespace}/${service.name} has no port ${destination.port}: the sidecar passes it through to the address`,
          ),
        ];
      const follower = { by: 'sidecar' as const, namespace: proxy.namespace, labels: proxy.labels };
      // a gateway's own routes end at a Service: those of the Service are its callers' or its waypoint's
      const branches =
        http === null || by === 'gateway' ? null : routesOfService(mesh, service, servicePort, http, follower);
      if (branches === null) return toServiceByEnvoy(asked, way, service, servicePort, null, proxy, by, caller);
      return branches.flatMap((branch) =>
        followed(way, branch, (at, to, port, subset) =>
          toServiceByEnvoy(asked, at, to, port, subset, proxy, by, caller),
        ),
      );
    }
    case 'serviceEntry':
      return toEntry(asked, way, destination, (at, target) => [
        arrive(
          mesh,
          at,
          target,
          envoyTransport(mesh, proxy, target, {
            host: destination.host,
            namespace: destination.entry.namespace,
            port: destination.port,
            subset: null,
          }),
          caller,
        ),
      ]);
    case 'host':
      return [end(way, 'unknown', `what ${destination.host} resolves to is in no file`)];
    case 'pod':
    case 'node':
    case 'address':
      return podTargets(asked, destination).flatMap(([target, part]) =>
        passThrough(asked, share(way, part), target, caller),
      );
  }
}

/** Addresses of nothing in the registry go through PassthroughCluster as they are, or are refused (REGISTRY_ONLY). */
function passThrough({ mesh }: Asked, way: Way, target: Target, caller: Caller): readonly Ended[] {
  const config = mesh.config();
  if (config === null) {
    const missing = mesh.unknownOf('configMaps', 'outboundTrafficPolicy of the mesh');
    return [
      end(
        way,
        'unknown',
        missing === null ? 'the mesh configuration is not known' : `${missing.fact}: ${missing.reason}`,
      ),
    ];
  }
  if (config.config.outboundTrafficPolicy === 'REGISTRY_ONLY') {
    return [end(way, 'error', 'REGISTRY_ONLY: the sidecar refuses addresses of no Service', [config.evidence])];
  }
  const transport: Transport = { by: 'plain', reason: 'an address of no Service: PassthroughCluster', evidence: [] };
  return [arrive(mesh, way, target, transport, { ...caller, identity: null })];
}

/** ORIGINAL_DST without EDS: no HBONE; TLS where all of its endpoints have sidecars. */
function headlessByEnvoy(
  asked: Asked,
  way: Way,
  destination: Destination & { readonly kind: 'service' },
  proxy: Pod,
  caller: Caller,
): readonly Ended[] {
  const { mesh } = asked;
  const { service, servicePort, port } = destination;
  const targets = headlessTargets(mesh, service, port);
  return each(
    way,
    targets,
    (at) => end(at, 'unknown', `DNS has no address for ${destination.host}`),
    (at, target) => {
      if (servicePort === null) return passThrough(asked, at, target, caller);
      const labelled =
        'unknown' in targets
          ? []
          : targets.targets.map((one) => one.pod?.labels['security.istio.io/tlsMode'] === 'istio');
      if (!labelled.every((has) => has === labelled[0])) {
        return [
          end(
            at,
            'unknown',
            'some endpoints of the headless Service have a sidecar: the client guesses one TLS for all',
          ),
        ];
      }
      const called: Called = { host: destination.host, namespace: service.namespace, port, subset: null };
      const transport = envoyTransport(mesh, proxy, target, called);
      const plain: Transport = {
        by: 'plain',
        reason: 'a headless Service: no HBONE without EDS',
        evidence: [service.evidence],
      };
      return [arrive(mesh, at, target, transport.by === 'hbone' ? plain : transport, caller)];
    },
  );
}

function toServiceByEnvoy(
  asked: Asked,
  way: Way,
  service: Service,
  servicePort: ServicePort,
  subset: string | null,
  proxy: Pod,
  by: 'sidecar' | 'gateway',
  caller: Caller,
): readonly Ended[] {
  const { mesh } = asked;
  const host = `${service.name}.${service.namespace}.svc.${mesh.clusterDomain()}`;
  const called: Called = { host, namespace: service.namespace, port: servicePort.port, subset };
  const all = targetsOfService(mesh, service, servicePort);
  const targets =
    'unknown' in all || subset === null ? all : { targets: ofSubset(mesh, all.targets, proxy, called, subset) };
  return each(
    way,
    targets,
    (none) => end(none, 'error', `no healthy upstream: ${noEndpoint(service)}`),
    (at, target) => {
      const transport = envoyTransport(mesh, proxy, target, called);
      const straight = (onward: Way, as: Caller): readonly Ended[] => [
        arrive(mesh, onward, target, as.waypoint ? tunnelTransport(mesh, target) : transport, as),
      ];
      const binding = waypointForEnvoy(mesh, service, target, by);
      if (binding === null || transport.by !== 'hbone') return straight(at, caller);
      return throughWaypoint(asked, at, binding, joinHostPort(target.ip, target.port), caller, service, straight);
    },
  );
}

function ofSubset(
  mesh: Mesh,
  targets: readonly Target[],
  proxy: Pod,
  called: Called,
  subset: string,
): readonly Target[] {
  const rule = destinationRuleOf(mesh, proxy, called.host, called.namespace);
  const labels = rule?.subsets.find((entry) => entry.name === subset)?.labels;
  if (labels === undefined) return [];
  return targets.filter((target) => target.pod !== null && labelsMatch(labels, target.pod.labels));
}

/**
 * Sidecars and gateways go through waypoints until 1.21; since 1.22 never, but for a gateway where
 * `istio.io/ingress-use-waypoint` says so (1.24+ on the Service, 1.25+ on the namespace).
 */
function waypointForEnvoy(
  mesh: Mesh,
  service: Service,
  target: Target,
  by: 'sidecar' | 'gateway',
): WaypointBinding | null {
  const release = mesh.release('istiod');
  if (release === null) return null;
  if (!atLeast(release, 22)) return target.pod === null ? null : waypointOfPod(mesh, target.pod);
  if (by !== 'gateway' || !atLeast(release, 24)) return null;
  const label = 'istio.io/ingress-use-waypoint';
  const namespace = atLeast(release, 25) ? mesh.namespace(service.namespace)?.labels[label] : undefined;
  return (service.labels[label] ?? namespace) === 'true' ? waypointOfService(mesh, service) : null;
}

/** Policies of a gateway for what it takes in. */
export function gatewayAnswer(asked: Asked, pod: Pod, sourceIp: string | null): ReturnType<typeof envoyAnswer> {
  const { mesh, question, http } = asked;
  const gatewayName = pod.labels['gateway.networking.k8s.io/gateway-name'];
  const gateway = mesh
    .list('gateways')
    .items.find((entry) => entry.namespace === pod.namespace && entry.name === gatewayName);
  const attached = gateway === undefined ? [] : policiesOfWaypoint(mesh, gateway, null);
  const seen = { identity: null, sourceIp, destinationIp: pod.ips[0] ?? null, port: question.destination.port, http };
  return envoyAnswer(mesh, [...policiesOfPod(mesh, pod), ...attached], seen);
}
