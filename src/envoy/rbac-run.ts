import type { Evidence } from '../formats/evidence.js';
import { objectOrNull, string, type JsonObject } from '../formats/envoy-json.js';
import type { Ip } from '../formats/ip.js';
import type { Connection } from './connection.js';
import type { Engine } from './engine.js';
import type { Filter } from './listener.js';
import { fork, step, type Path } from './path.js';
import { decided, evaluate, rules, type RbacResult, type RbacSubject, type Rules } from './rbac.js';
import { NO_HEADERS } from './strings.js';

const NO_OPEN: ReadonlySet<string> = new Set();

/** What RBAC sees of a connection outside HTTP. */
export function networkSubject(connection: Connection): RbacSubject {
  const local = connection.local.kind === 'ip' ? connection.local : null;
  const remote: Ip | null = connection.remote?.kind === 'ip' ? connection.remote.ip : null;
  return {
    headers: NO_HEADERS,
    path: null,
    localIp: local?.ip ?? null,
    localPort: local?.port ?? null,
    directIp: connection.direct?.kind === 'ip' ? connection.direct.ip : null,
    remoteIp: remote,
    connectionIp: remote,
    sni: connection.sni,
    tls: connection.terminated === undefined ? null : { peer: connection.terminated.peer },
    metadata: connection.metadata,
    filterState: connection.filterState,
    openMetadata: NO_OPEN,
    routeMetadata: null,
  };
}

/** Calls `use` once per branch, with the verdict on it. */
function verdicts(
  value: Rules,
  subject: RbacSubject,
  from: number,
  path: Path,
  use: (r: RbacResult, p: Path) => void,
): void {
  const result = evaluate(value, subject, from);
  if (result.kind !== 'open') return use(result, path);
  fork(
    path,
    { fact: `policy ${result.policy.name} matches`, reason: result.doubt.reason },
    'unknown',
    (yes) => use(decided(value, result.policy), yes),
    (no) => verdicts(value, subject, result.index + 1, no, use),
  );
}

const METADATA: Readonly<Record<string, string>> = {
  'envoy.extensions.filters.network.rbac.v3.RBAC': 'envoy.filters.network.rbac',
  'envoy.extensions.filters.http.rbac.v3.RBAC': 'envoy.filters.http.rbac',
};

type Denied = (policy: string | null, evidence: Evidence, path: Path) => void;
type Allowed = (metadata: ReadonlyMap<string, JsonObject>, path: Path) => void;

/** One RBAC filter, network or HTTP: shadow rules leave metadata only, rules decide. */
export function runRbac(
  engine: Engine,
  filter: Filter,
  subject: RbacSubject,
  metadata: ReadonlyMap<string, JsonObject>,
  path: Path,
  denied: Denied,
  allowed: Allowed,
): void {
  const { config, pointer } = filter;
  const { file } = engine.dump;
  if (config['matcher'] !== undefined || config['shadow_matcher'] !== undefined) {
    const evidence: Evidence = { file, pointer, text: `RBAC ${filter.name}` };
    const question = {
      fact: `the RBAC matcher of ${filter.name} allows`,
      reason: 'RBAC matcher trees are not evaluated',
    };
    return fork(
      path,
      question,
      'unknown',
      (yes) => allowed(metadata, yes),
      (no) => denied(null, evidence, no),
    );
  }
  const enforced = objectOrNull(config['rules']);
  const enforce = (current: ReadonlyMap<string, JsonObject>, next: Path): void => {
    if (enforced === null) return allowed(current, next);
    const made = engine.compiled('rbac', enforced, () => rules(enforced, `${pointer}/rules`));
    verdicts(made, { ...subject, metadata: current }, 0, next, (result, branch) => {
      if (result.kind === 'open') return;
      const name = result.policy?.name ?? null;
      const evidence: Evidence = {
        file,
        pointer: result.policy?.pointer ?? made.pointer,
        text: name === null ? `${made.action} rules` : `policy ${name}`,
      };
      const text = `RBAC ${made.action}: ${name === null ? 'no policy matches' : `policy ${name} matches`}`;
      const after = step(branch, text, evidence);
      if (result.kind === 'denied') denied(name, evidence, after);
      else allowed(current, after);
    });
  };
  const shadow = objectOrNull(config['shadow_rules']);
  if (shadow === null) return enforce(metadata, path);
  const made = engine.compiled('rbac', shadow, () => rules(shadow, `${pointer}/shadow_rules`));
  const namespace = METADATA[filter.type] ?? filter.name;
  const prefix = string(config['shadow_rules_stat_prefix']) ?? '';
  verdicts(made, subject, 0, path, (result, branch) => {
    if (result.kind === 'open') return;
    const name = result.policy?.name;
    const next = new Map(metadata);
    next.set(namespace, {
      ...metadata.get(namespace),
      [`${prefix}shadow_engine_result`]: result.kind,
      ...(name === undefined ? {} : { [`${prefix}shadow_effective_policy_id`]: name }),
    });
    enforce(next, branch);
  });
}
