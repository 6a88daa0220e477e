import type { DumpPolicy } from '../formats/ztunnel-types.js';
import type { Behaviour } from './behaviour.js';
import { PolicyClasses } from './policy-classes.js';
import { assertRbac, compilePolicy, type CompiledPolicy, type RbacConnection, type RbacResult } from './rbac.js';

/** Whose policies are asked for. */
export interface Guarded {
  readonly namespace: string;
  readonly policies: readonly string[];
}

/** The enforced policies of some workloads, in the groups in which ztunnel chains them. */
export interface PolicySet {
  /** Keys that the workloads list and ztunnel does not know. */
  readonly missing: readonly string[];
  /** What the policies say of a connection; the same object for connections that they cannot tell apart. */
  verdict(connection: RbacConnection): RbacResult;
}

/** ztunnel's policies by what they apply to (Z:src/state/policy.rs PolicyStore). */
export class PolicyStore {
  private readonly byKey = new Map<string, CompiledPolicy>();
  private readonly byNamespace = new Map<string, CompiledPolicy[]>();
  private readonly global: CompiledPolicy[] = [];
  private readonly sets = new Map<string, PolicySet>();
  private readonly setOf = new Map<Guarded, PolicySet>();
  private readonly behaviour: Behaviour;

  constructor(policies: readonly DumpPolicy[], behaviour: Behaviour) {
    this.behaviour = behaviour;
    for (const policy of policies) this.add(policy);
  }

  private add(policy: DumpPolicy): void {
    const compiled = compilePolicy(policy);
    this.byKey.set(policy.key, compiled);
    // a scope that is not known may be any: assertRbac() then can not tell
    if (policy.scope === 'Global' || policy.scope === null) this.global.push(compiled);
    if (policy.scope === 'Namespace' || policy.scope === null) {
      const list = this.byNamespace.get(policy.namespace);
      if (list === undefined) this.byNamespace.set(policy.namespace, [compiled]);
      else list.push(compiled);
    }
  }

  /** The policies for a workload: one set for all workloads of a namespace that list the same ones. */
  setFor(workload: Guarded): PolicySet {
    const known = this.setOf.get(workload);
    if (known !== undefined) return known;
    const key = JSON.stringify([workload.namespace, workload.policies]);
    const set = this.sets.get(key) ?? this.makeSet(workload);
    this.sets.set(key, set);
    this.setOf.set(workload, set);
    return set;
  }

  private makeSet(workload: Guarded): PolicySet {
    const own: CompiledPolicy[] = [];
    const missing: string[] = [];
    for (const key of workload.policies) {
      const compiled = this.byKey.get(key);
      if (compiled === undefined) missing.push(key);
      else own.push(compiled);
    }
    const enforced = ({ policy }: CompiledPolicy): boolean => !(this.behaviour.dryRun && policy.dryRun);
    const namespace = this.byNamespace.get(workload.namespace) ?? [];
    const groups = [namespace, this.global, own].map((group) => group.filter(enforced));
    const classes = new PolicyClasses<RbacResult>(groups.flat());
    // the first two groups come in the order of a HashSet
    const ordered = [false, false, true];
    const rules = { clauseJoin: this.behaviour.clauseJoin };
    const verdict = (connection: RbacConnection): RbacResult => {
      const verdicts = classes.at(connection.destinationIp, connection.port);
      const caller = classes.callerClass(connection.sourceIp, connection.identity);
      const known = verdicts.get(caller);
      if (known !== undefined) return known;
      const found = assertRbac(groups, ordered, connection, rules);
      verdicts.set(caller, found);
      return found;
    };
    return { missing, verdict };
  }
}
