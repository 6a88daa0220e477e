import { ipv4Mask, type Cidr, type Ip } from '../formats/ip.js';
import type { StringMatch } from '../formats/ztunnel-types.js';
import type { Identity } from './identity.js';
import { matchesPrincipal, matchesText, type CompiledPolicy, type Truth } from './rbac.js';

/** Texts whose class is kept, for each kind of question of each set of policies. */
const MOST = 50_000;

/** More classes of namespaces than a set of policies makes, as a rule. */
const PLACES = 2 ** 16;

/**
 * Connections that a set of policies cannot tell apart. Everything that a policy asks of a connection is asked here once
 * for each identity and once for each address; two connections with the same answers have the same verdict, which
 * therefore needs to be found once only.
 */
export class PolicyClasses<T> {
  private readonly sources: Ranges;
  private readonly destinations: Ranges;
  private readonly ports = new Map<number, number>();
  private readonly namespaces = new TextTests(matchesText);
  private readonly principals = new TextTests(matchesPrincipal);
  private readonly accounts = new Map<string, number>();
  private readonly verdicts = new Map<number, Map<number | string, T>>();

  constructor(policies: readonly CompiledPolicy[]) {
    const sources: (Cidr | null)[] = [];
    const destinations: (Cidr | null)[] = [];
    for (const match of policies.flatMap(({ rules }) => rules?.flat(2) ?? [])) {
      sources.push(...match.sourceIps, ...match.notSourceIps);
      destinations.push(...match.destinationIps, ...match.notDestinationIps);
      const { source } = match;
      for (const port of [...source.destinationPorts, ...source.notDestinationPorts]) number(this.ports, port);
      for (const text of [...source.namespaces, ...source.notNamespaces]) this.namespaces.add(text);
      for (const text of [...source.principals, ...source.notPrincipals]) this.principals.add(text);
      for (const account of [...source.serviceAccounts, ...source.notServiceAccounts]) {
        number(this.accounts, accountKey(account));
      }
    }
    this.sources = new Ranges(sources);
    this.destinations = new Ranges(destinations);
  }

  /** Verdicts of connections to this address and port, by `callerClass`. */
  at(destination: Ip, port: number): Map<number | string, T> {
    const key =
      (this.ports.get(port) ?? this.ports.size) * this.destinations.count + this.destinations.classOf(destination);
    let verdicts = this.verdicts.get(key);
    if (verdicts === undefined) {
      verdicts = new Map();
      this.verdicts.set(key, verdicts);
    }
    return verdicts;
  }

  /** The same for callers that no policy tells apart. */
  callerClass(source: Ip, identity: Identity | null): number | string {
    const { namespaces, principals, accounts, sources } = this;
    const network = sources.classOf(source);
    const namespace = namespaces.classOf(identity?.namespace ?? '');
    const principal = principals.classOf(identity?.text ?? '');
    const account = accounts.size === 0 || identity === null ? -1 : (accounts.get(accountKey(identity)) ?? -1);
    const all = ((principal * (accounts.size + 1) + account + 1) * PLACES + namespace) * sources.count + network;
    const fits = namespace < PLACES && Number.isSafeInteger(all);
    return fits ? all : `${namespace} ${principal} ${account} ${network}`;
  }
}

/** A number for each key, in order of appearance. */
function number<K>(numbers: Map<K, number>, key: K): number {
  const known = numbers.get(key);
  if (known !== undefined) return known;
  numbers.set(key, numbers.size);
  return numbers.size - 1;
}

function accountKey(account: { readonly namespace: string; readonly serviceAccount: string }): string {
  return `${account.namespace}\t${account.serviceAccount}`;
}

/** Every string match of a set on one kind of text: exact ones are looked up, the others asked. */
class TextTests {
  private readonly test: (match: StringMatch, text: string) => Truth;
  private readonly exact = new Set<string>();
  private readonly others = new Map<string, StringMatch>();
  private readonly classes = new Map<string, number>();
  private readonly signatures = new Map<string, number>();

  constructor(test: (match: StringMatch, text: string) => Truth) {
    this.test = test;
  }

  get isEmpty(): boolean {
    return this.exact.size === 0 && this.others.size === 0;
  }

  add(match: StringMatch): void {
    if (match.kind === 'exact') this.exact.add(match.value);
    else this.others.set(JSON.stringify(match), match);
  }

  /** The same number for texts that no match tells apart. */
  classOf(text: string): number {
    if (this.isEmpty) return 0;
    const known = this.classes.get(text);
    if (known !== undefined) return known;
    if (this.classes.size >= MOST) this.classes.clear();
    const found = number(this.signatures, this.signatureOf(text));
    this.classes.set(text, found);
    return found;
  }

  private signatureOf(text: string): string {
    // a principal is compared without its scheme
    const plain = this.test === matchesPrincipal ? text.replace(/^spiffe:\/\//, '') : text;
    const isExact = this.exact.has(plain) && this.test({ kind: 'exact', value: plain }, text) === true;
    const others = [...this.others.values()].map((match) => this.test(match, text));
    return JSON.stringify([isExact ? plain : null, ...others]);
  }
}

/** Addresses by which of some prefixes contain them: the prefixes' edges cut the address space into classes. */
class Ranges {
  private readonly v4: readonly number[];
  private readonly v6: readonly bigint[];
  readonly count: number;

  constructor(nets: readonly (Cidr | null)[]) {
    const v4 = new Set<number>();
    const v6 = new Set<bigint>();
    for (const net of nets) {
      if (net === null) continue;
      if (net.ip.family === 4) {
        const start = (net.ip.value & ipv4Mask(net.prefix)) >>> 0;
        v4.add(start).add(start + 2 ** (32 - net.prefix));
      } else {
        const size = 1n << BigInt(128 - net.prefix);
        const start = (net.ip.value / size) * size;
        v6.add(start).add(start + size);
      }
    }
    this.v4 = [...v4].sort((left, right) => left - right);
    this.v6 = [...v6].sort((left, right) => (left < right ? -1 : 1));
    this.count = this.v4.length + this.v6.length + 2;
  }

  classOf(ip: Ip): number {
    return ip.family === 4 ? edgesUpTo(this.v4, ip.value) : this.v4.length + 1 + edgesUpTo(this.v6, ip.value);
  }
}

/** How many of the sorted edges are not above the value. */
function edgesUpTo<T extends number | bigint>(edges: readonly T[], value: T): number {
  let low = 0;
  let high = edges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const edge = edges[middle];
    if (edge !== undefined && edge <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}
