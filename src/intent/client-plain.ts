import { clientTargets, each, noEndpoint, noSuchPort, podTargets, type Asked } from './asked.js';
import { arrive, type Caller } from './server.js';
import { targetAt, type Target } from './targets.js';
import type { Transport } from './transport.js';
import { attempt, end, plainLink, share, type Ended, type Way } from './way.js';

/** By kube-proxy or straight: no proxy on the client's side. `hostOf`: node of a process that shares its network. */
export function plainClient(asked: Asked, way: Way, sourceIp: string | null, hostOf: string | null): readonly Ended[] {
  const { mesh, question, http } = asked;
  const caller: Caller = { identity: null, sourceIp, http, hostOf, waypoint: false, udp: question.protocol === 'udp' };
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
