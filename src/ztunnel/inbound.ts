import { canonicalIp, joinHostPort, parseIp, splitHostPort, unmapIp, formatIp, type Ip } from '../formats/ip.js';
import type { Evidence } from '../formats/evidence.js';
import type { DumpPolicy, DumpService, DumpWorkload } from '../formats/ztunnel-types.js';
import type { ZtunnelOutcome } from './face.js';
import { parseIdentity, type Identity } from './identity.js';
import { certain, failure, outcome, step, undecided, type Branch, type Step } from './outcome.js';
import { assertRbac, type RbacConnection, type RbacResult } from './rbac.js';
import type { State } from './state.js';
import type { World } from './world.js';

type Outcomes = readonly Branch<ZtunnelOutcome>[];

export interface InboundRequest {
  readonly state: State;
  readonly world: World;
  /** The pod that ztunnel serves here. */
  readonly local: DumpWorkload;
  readonly sourceIp: string;
  /** Address on which the connection arrived: the pod's own. */
  readonly arrivedIp: string;
}

/** CONNECT authority: `ip:port` or `host:port`. */
export type Authority =
  | { readonly kind: 'address'; readonly ip: string; readonly port: number }
  | { readonly kind: 'host'; readonly hostname: string; readonly port: number };

export function parseAuthority(text: string): Authority | null {
  const parts = splitHostPort(text);
  if (parts === null) return null;
  const ip = canonicalIp(parts.host);
  if (ip !== null) return { kind: 'address', ip, port: parts.port };
  return parts.host === '' ? null : { kind: 'host', hostname: parts.host, port: parts.port };
}

/** v4-mapped addresses as IPv4, as ztunnel's to_canonical() has it; null where the text is no address. */
export function canonicalSource(text: string): string | null {
  const ip = parseIp(text);
  return ip === null ? null : formatIp(unmapIp(ip));
}

function ipOf(text: string): Ip {
  const ip = parseIp(text);
  if (ip === null) throw new Error(`not an address: ${text}`);
  return ip;
}

/** The answer of the policies as outcomes; null: allowed (with the steps to go on). */
export function checkPolicies(
  state: State,
  local: { readonly namespace: string; readonly policies: readonly string[]; readonly evidence: Evidence },
  connection: RbacConnection,
): { readonly outcomes: Outcomes | null; readonly step: Step } {
  const { groups, ordered, missing } = state.policiesFor(local);
  const rules = { clauseJoin: state.behaviour.clauseJoin };
  const result = assertRbac(groups, ordered, connection, rules);
  const skipped = missing.length === 0 ? '' : `; skipping unknown policy ${missing.join(', ')}`;
  return { outcomes: rbacOutcomes(result, skipped), step: rbacStep(result, skipped, local.evidence) };
}

function rbacStep(result: RbacResult, skipped: string, local: Evidence): Step {
  switch (result.kind) {
    case 'allow':
      return result.by === null
        ? step(`no ALLOW policy applies and no DENY policy matches: allowed${skipped}`, local)
        : step(`allowed by ${result.by.key}${skipped}`, result.by.evidence);
    case 'deny':
      return step(
        `denied by ${result.by.map((policy) => policy.key).join(' or ')}`,
        ...result.by.map((p) => p.evidence),
      );
    case 'none-allowed':
      return step('ALLOW policies exist, but none matches', ...result.considered.map((policy) => policy.evidence));
    case 'unknown':
      return step('a policy cannot be evaluated', ...result.policies.map((policy) => policy.evidence));
  }
}

/** ztunnel's words since 1.22 (Z:src/proxy.rs AuthorizationRejectionError). */
function rbacOutcomes(result: RbacResult, skipped: string): Outcomes | null {
  const rejected = (why: string): string => `connection closed due to policy rejection: ${why}`;
  switch (result.kind) {
    case 'allow':
      return null;
    case 'deny':
      return result.by.map((policy) => ({
        share: 1 / result.by.length,
        value: denied(
          policy.key,
          rejected(`explicitly denied by: ${policy.key}`),
          policy.evidence,
          result.by.length > 1,
        ),
      }));
    case 'none-allowed':
      return certain(
        denied(
          'none allowed',
          rejected('allow policies exist, but none allowed'),
          result.considered[0]?.evidence ?? null,
          false,
        ),
      );
    case 'unknown':
      return certain(
        undecided(
          result.policies.map((policy) => unknownPolicy(policy, skipped)),
          [],
        ),
      );
  }
}

function unknownPolicy(policy: DumpPolicy, skipped: string): { fact: string; reason: string } {
  return {
    fact: `what policy ${policy.key} means: ${policy.evidence.file}${policy.evidence.pointer ?? ''}`,
    reason: `it has a part that is not known to this program${skipped}`,
  };
}

function denied(policy: string, error: string, evidence: Evidence | null, perProcess: boolean): ZtunnelOutcome {
  return outcome({ action: 'deny', policy, error, log: `error="${error}"`, decidedBy: evidence, perProcess });
}

function withSteps(outcomes: Outcomes, steps: readonly Step[], more: Partial<ZtunnelOutcome>): Outcomes {
  return outcomes.map(({ share, value }) => ({
    share,
    value: { ...value, ...more, steps: [...steps, ...value.steps] },
  }));
}

/** Z:src/proxy/inbound_passthrough.rs proxy_inbound_plaintext. */
export function decidePlaintext(request: InboundRequest, port: number): Outcomes {
  const { local, sourceIp, arrivedIp } = request;
  const steps = [step(`plain TCP for ${local.namespace}/${local.name}`, local.evidence)];
  const connection = { sourceIp: ipOf(sourceIp), destinationIp: ipOf(arrivedIp), port, identity: null };
  return guarded(request, connection, { ip: arrivedIp, port }, steps);
}

/** Policies, then the connection to the application. */
function guarded(
  request: InboundRequest,
  connection: RbacConnection,
  to: { readonly ip: string; readonly port: number },
  steps: readonly Step[],
): Outcomes {
  const { state, local, sourceIp } = request;
  const verdict = checkPolicies(state, local, connection);
  const all = [...steps, verdict.step];
  if (verdict.outcomes !== null) return withSteps(verdict.outcomes, all, { workload: local.uid });
  const address = joinHostPort(to.ip, to.port);
  return certain(
    outcome({
      action: 'forward',
      protocol: 'tcp',
      to: address,
      workload: local.uid,
      keepsSource: state.dump.config.requireOriginalSource !== false && sourceIp !== to.ip,
      log: `dst.addr=${address}`,
      decidedBy: verdict.step.evidence[0] ?? local.evidence,
      steps: [...all, step(`connects to ${address}`, local.evidence)],
    }),
  );
}

export function selfCall(steps: readonly Step[], decidedBy: Evidence | null): ZtunnelOutcome {
  return failure('attempted recursive call to ourselves', steps, { decidedBy });
}

/** Z:src/proxy/inbound.rs, 1.22 on: TLS, authority, its validation, next hop, policies. */
export function decideConnect(request: InboundRequest, authority: Authority, peer: string): Outcomes {
  const { local } = request;
  const steps = [step(`HBONE for ${local.namespace}/${local.name}`, local.evidence)];
  const identity = parseIdentity(peer);
  const stranger = wrongTrustDomain(local, peer, identity);
  if (stranger !== null) return certain(failure(stranger, steps));
  const mismatch = validateDestination(request, authority);
  if (mismatch !== null) return certain(failure(mismatch, steps));
  const resolved = resolveAuthority(request, authority);
  if ('error' in resolved) return certain(failure(resolved.error, steps));
  const { port, service } = resolved;
  if (request.state.dump.config.illegalPorts.includes(port)) return certain(selfCall(steps, local.evidence));
  return towardsApplication(request, authority, port, service, identity, steps);
}

/** Z:src/tls/workload.rs TrustDomainVerifier: the client certificate must be of the pod's own trust domain. */
function wrongTrustDomain(local: DumpWorkload, peer: string, identity: Identity | null): string | null {
  if (identity !== null && identity.trustDomain === local.trustDomain) return null;
  const presented =
    identity === null
      ? '[]'
      : `[Spiffe { trust_domain: ${JSON.stringify(identity.trustDomain)}, namespace: ${JSON.stringify(identity.namespace)}, service_account: ${JSON.stringify(identity.serviceAccount)} }]`;
  return (
    'tls handshake error: Custom { kind: InvalidData, error: InvalidCertificate(Other(OtherError(' +
    `SanTrustDomainError(${JSON.stringify(local.trustDomain)}, ${presented})))) }`
  );
}

/** Z:src/proxy/inbound.rs validate_destination. */
function validateDestination(request: InboundRequest, authority: Authority): string | null {
  const { state, world, local, arrivedIp } = request;
  if (authority.kind === 'host' || authority.ip === arrivedIp || local.applicationTunnel !== null) return null;
  const mismatch = `ip mismatch: ${arrivedIp} != ${authority.ip}`;
  const found = state.find(state.dump.config.network, authority.ip, null, world);
  const waypoint = found === null ? null : found.kind === 'service' ? found.service.waypoint : found.workload.waypoint;
  if (waypoint === null) return mismatch;
  const resolved = state.findDestination(waypoint, null, world);
  if (resolved === null) return mismatch;
  const ours =
    resolved.kind === 'service' ? resolved.service.hasEndpoint(local.uid) : resolved.workload.ips.includes(arrivedIp);
  return ours ? null : mismatch;
}

/** The port that the authority stands for, before any application tunnel (Z:src/proxy/inbound.rs find_inbound_upstream). */
function resolveAuthority(
  request: InboundRequest,
  authority: Authority,
): { readonly port: number; readonly service: DumpService | null } | { readonly error: string } {
  const { state, world, local } = request;
  if (authority.kind === 'address') return { port: authority.port, service: null };
  if (!state.behaviour.hostnameAuthority) {
    return { error: `invalid CONNECT address ${joinHostPort(authority.hostname, authority.port)}` };
  }
  const service = state.serviceByHost(authority.hostname, local.namespace, world);
  if (service === null) return { error: `no service or workload for hostname: ${authority.hostname}` };
  const own = service.endpoint(local.uid)?.ports[authority.port];
  const port = own ?? service.ports[authority.port] ?? 0;
  if (port === 0) {
    return { error: `requested service ${authority.hostname}:${authority.port} found, but cannot resolve port` };
  }
  return { port, service };
}

/** The application tunnel may move the port, and a PROXY tunnel goes to localhost; policies see the tunnel's port. */
function towardsApplication(
  request: InboundRequest,
  authority: Authority,
  port: number,
  service: DumpService | null,
  identity: Identity | null,
  steps: readonly Step[],
): Outcomes {
  const { state, local, sourceIp, arrivedIp } = request;
  const tunnel = local.applicationTunnel;
  if (tunnel !== null && authority.kind === 'host' && service !== null && service.vips.length === 0) {
    return certain(failure(`requested service ${authority.hostname} found, but has no IP addresses`, steps));
  }
  const finalPort = tunnel?.port ?? port;
  const connection = { sourceIp: ipOf(sourceIp), destinationIp: ipOf(arrivedIp), port: finalPort, identity };
  const at =
    tunnel === null
      ? steps
      : [...steps, step(`application tunnel ${tunnel.protocol ?? '?'} on port ${finalPort}`, local.evidence)];
  const local127 = tunnel?.protocol === 'PROXY' && state.dump.config.localhostAppTunnel;
  if (!local127) return guarded(request, connection, { ip: arrivedIp, port: finalPort }, at);
  const loopback = { ip: arrivedIp.includes(':') ? '::1' : '127.0.0.1', port: finalPort };
  return guarded(request, connection, loopback, at).map(({ share, value }) => ({
    share,
    value: { ...value, keepsSource: false },
  }));
}
