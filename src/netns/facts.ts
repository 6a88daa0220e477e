import type { ConntrackTable } from '../formats/conntrack.js';
import type { Evidence, Unknown } from '../formats/evidence.js';
import type { IpAddresses, IpDevice } from '../formats/ip-address.js';
import { DEVICELESS, type IpRoute, type IpRoutes } from '../formats/ip-route.js';
import type { IpRules } from '../formats/ip-rule.js';
import type { IpsetSave } from '../formats/ipset-save.js';
import type { Sockets } from '../formats/sockets.js';
import type { TrafficControl } from '../formats/tc.js';
import type { Sysctls } from '../formats/sysctl.js';
import type { Addr, Family } from './address.js';
import { FactMissing, type Choices } from './choices.js';

/** A file's facts, or why there are none. */
export type Fact<T> =
  { readonly kind: 'known'; readonly value: T } | { readonly kind: 'unknown'; readonly unknown: Unknown };

/** The value, or the end of this flow with the fact that is missing. */
export function need<T>(fact: Fact<T>): T {
  if (fact.kind === 'unknown') throw new FactMissing(fact.unknown);
  return fact.value;
}

/** A chain of nft that sees frames apart from the hooks of IP, with a rule that may stop or change one. */
export interface LinkChain {
  /** `netdev` (and the ingress hook of `inet`): on one device; `bridge`: on bridges and their ports; `arp`: on any. */
  readonly kind: 'netdev' | 'bridge' | 'arp';
  /** Null but for `netdev`. */
  readonly device: string | null;
  readonly direction: 'ingress' | 'egress';
  readonly evidence: Evidence;
}

/** A flowtable that some rule fills: established connections through its devices pass the rules by. */
export interface Flowtable {
  readonly devices: readonly string[];
  readonly evidence: Evidence;
}

/** The files of one namespace but for its rules, each read when first asked for. */
export interface NetnsFacts {
  addresses(): Fact<IpAddresses>;
  rules(family: Family): Fact<IpRules>;
  routes(family: Family): Fact<IpRoutes>;
  ipsets(): Fact<IpsetSave>;
  sysctls(): Fact<Sysctls>;
  sockets(): Fact<Sockets>;
  /** Null where it is missing: then nothing is known to run before the rules. */
  trafficControl(): Fact<TrafficControl> | null;
  /** Optional: the connections that were there; null where there is no list. What is damaged of it is left out. */
  connections(): ConntrackTable | null;
  linkChains(): readonly LinkChain[];
  flowtables(): readonly Flowtable[];
}

/** IN_DEV_* of one IPv4 device: what is set for it or for all of them; each read when first asked for. */
export class Ipv4Settings {
  private readonly devices: Devices;
  private readonly device: string;
  private readonly known: Record<keyof typeof SETTINGS, boolean | null> = {
    route_localnet: null,
    accept_local: null,
    send_redirects: null,
    src_valid_mark: null,
  };
  private filter: number | null = null;

  constructor(devices: Devices, device: string) {
    this.devices = devices;
    this.device = device;
  }

  private either(name: keyof typeof SETTINGS): boolean {
    const [all, one] = SETTINGS[name];
    return this.devices.sysctl(all) !== 0 || this.devices.deviceSysctl(one, this.device) !== 0;
  }

  get routeLocalnet(): boolean {
    return (this.known.route_localnet ??= this.either('route_localnet'));
  }

  get acceptLocal(): boolean {
    return (this.known.accept_local ??= this.either('accept_local'));
  }

  get sendRedirects(): boolean {
    return (this.known.send_redirects ??= this.either('send_redirects'));
  }

  get srcValidMark(): boolean {
    return (this.known.src_valid_mark ??= this.either('src_valid_mark'));
  }

  /** 0 off, 1 strict, 2 loose: the larger of all's and the device's. */
  get rpFilter(): number {
    return (this.filter ??= Math.max(
      this.devices.sysctl('net.ipv4.conf.all.rp_filter'),
      this.devices.deviceSysctl('net.ipv4.conf.*.rp_filter', this.device),
    ));
  }
}

const setting = (name: string): readonly [string, string] => [`net.ipv4.conf.all.${name}`, `net.ipv4.conf.*.${name}`];
const SETTINGS = {
  route_localnet: setting('route_localnet'),
  accept_local: setting('accept_local'),
  send_redirects: setting('send_redirects'),
  src_valid_mark: setting('src_valid_mark'),
} as const;

const ALL_FORWARDING = 'net.ipv4.conf.all.forwarding';

/** The key of a device; `*` in the place of its name: sysctl prints the dots of a name as slashes. */
export function sysctlOf(pattern: string, device: string): string {
  return pattern.replace('*', device.replaceAll('.', '/'));
}

function numberIn(text: string | undefined): number | null {
  return text !== undefined && /^-?\d+$/.test(text) ? Number(text) : null;
}

/** Devices and sysctls in the form in which the engine asks for them. */
export class Devices {
  private readonly facts: NetnsFacts;
  private byName: Map<string, IpDevice> | null = null;
  private local: { 4: Set<Addr>; 6: Set<Addr> } | null = null;
  private readonly sysctlCache = new Map<string, number>();
  private readonly deviceCache = new Map<string, Map<string, number>>();
  private readonly forwarding = new Map<string, boolean>();
  private readonly settings = new Map<string, Ipv4Settings>();
  private readonly off6 = new Map<string, boolean | Unknown>();

  constructor(facts: NetnsFacts) {
    this.facts = facts;
  }

  list(): readonly IpDevice[] {
    return need(this.facts.addresses()).devices;
  }

  get(name: string): IpDevice | null {
    this.byName ??= new Map(this.list().map((device) => [device.name, device]));
    return this.byName.get(name) ?? null;
  }

  ipv4(device: string): Ipv4Settings {
    let settings = this.settings.get(device);
    if (settings === undefined) {
      settings = new Ipv4Settings(this, device);
      this.settings.set(device, settings);
    }
    return settings;
  }

  /** inet_lookup_ifaddr: one of the namespace's own addresses. */
  isOwn(family: Family, addr: Addr): boolean {
    if (this.local === null) {
      const local = { 4: new Set<Addr>(), 6: new Set<Addr>() };
      for (const device of this.list()) {
        for (const address of device.addresses) local[address.ip.family].add(address.ip.value);
      }
      // kept only when the list could be read: asked again, a missing file is missing again
      this.local = local;
    }
    return this.local[family].has(addr);
  }

  /** Whether the device has the address. */
  holds(device: string, addr: Addr): boolean {
    return this.get(device)?.addresses.some(({ ip }) => ip.value === addr) === true;
  }

  /** A number under `net.<key>`; ends the flow where sysctl.txt does not say. */
  sysctl(key: string): number {
    let value = this.sysctlCache.get(key);
    if (value === undefined) {
      const sysctls = need(this.facts.sysctls());
      const text = sysctls.values.get(key)?.value;
      const number = numberIn(text);
      if (number === null) {
        const reason = text === undefined ? 'the file does not hold it' : `"${text}" is no number`;
        throw new FactMissing({ fact: `${key} in ${sysctls.file}`, reason });
      }
      value = number;
      this.sysctlCache.set(key, value);
    }
    return value;
  }

  /** IN_DEV_FORWARD; a hand-made sysctl.txt may hold only net.ipv4.ip_forward, which sets them all, and none of theirs. */
  forwards4(device: string): boolean {
    let forwards = this.forwarding.get(device);
    if (forwards === undefined) {
      const { values } = need(this.facts.sysctls());
      const own = sysctlOf('net.ipv4.conf.*.forwarding', device);
      forwards = this.sysctl(values.has(own) || values.has(ALL_FORWARDING) ? own : 'net.ipv4.ip_forward') !== 0;
      this.forwarding.set(device, forwards);
    }
    return forwards;
  }

  /** force_forwarding of newer kernels, which have it for all devices; absent on older ones. */
  forces6(device: string): boolean {
    const keyOf = (name: string): string => sysctlOf('net.ipv6.conf.*.force_forwarding', name);
    const { values } = need(this.facts.sysctls());
    return (values.has(keyOf('all')) || values.has(keyOf(device))) && this.sysctl(keyOf(device)) !== 0;
  }

  /** A switch that is off where sysctl.txt does not hold it: not every kernel has it. */
  isSet(key: string): boolean {
    return need(this.facts.sysctls()).values.has(key) && this.sysctl(key) !== 0;
  }

  /**
   * Whether a device takes and sends nothing of IPv6 (disable_ipv6). One that has an address or a route of IPv6 does not: the
   * kernel takes all of them away with the switch, and gives none afterwards (addrconf_ifdown and inet6_addr_add in linux
   * net/ipv6/addrconf.c, fib6_nh_init in net/ipv6/route.c, v6.12). Of another one only sysctl.txt tells.
   */
  isOff6(device: string, choices: Choices): boolean {
    let off = this.off6.get(device);
    if (off === undefined) {
      off = this.findOff6(device);
      this.off6.set(device, off);
    }
    if (typeof off === 'boolean') return off;
    return !choices.either(off.fact, `IPv6 is not off on ${device} (disable_ipv6)`, off);
  }

  private findOff6(device: string): boolean | Unknown {
    const key = sysctlOf('net.ipv6.conf.*.disable_ipv6', device);
    const sysctls = this.facts.sysctls();
    const value = sysctls.kind === 'known' ? numberIn(sysctls.value.values.get(key)?.value) : null;
    if (value !== null) return value !== 0;
    const addresses = this.facts.addresses();
    const has = (name: string): boolean =>
      addresses.kind === 'known' &&
      addresses.value.devices.some((one) => one.name === name && one.addresses.some(({ ip }) => ip.family === 6));
    if (has(device) || this.routeThrough(device, 6) !== null) return false;
    if (sysctls.kind === 'unknown') return { fact: `${key}: ${sysctls.unknown.fact}`, reason: sysctls.unknown.reason };
    return { fact: `${key} in ${sysctls.value.file}`, reason: 'the file does not hold it' };
  }

  /**
   * Whether there is a device of this name: where ip-address.json cannot be read, the sysctls and the routes tell, for each
   * device has some of the former, and each address on it one of the latter. The evidence, or null.
   */
  trace(name: string): Evidence | null {
    const addresses = this.facts.addresses();
    if (addresses.kind === 'known') return this.get(name)?.evidence ?? null;
    const sysctls = this.facts.sysctls();
    if (sysctls.kind === 'known') {
      const own = sysctlOf('net.ipv4.conf.*.', name);
      for (const [key, { evidence }] of sysctls.value.values) if (key.startsWith(own)) return evidence;
    }
    return this.routeThrough(name, 4) ?? this.routeThrough(name, 6);
  }

  /** A route that leads through the device, where the routes can be read; those of IPv6 that refuse name lo, whatever it is. */
  routeThrough(name: string, family: Family): Evidence | null {
    const routes = this.facts.routes(family);
    if (routes.kind === 'unknown') return null;
    const through = (one: IpRoute): boolean =>
      one.family === family && !DEVICELESS.has(one.type) && one.nexthops.some(({ device }) => device === name);
    return routes.value.routes.find(through)?.evidence ?? null;
  }

  /** A per-device sysctl; the key has `*` in the place of the device: sysctl prints the dots of a name as slashes. */
  deviceSysctl(pattern: string, device: string): number {
    let devices = this.deviceCache.get(pattern);
    if (devices === undefined) {
      devices = new Map();
      this.deviceCache.set(pattern, devices);
    }
    let value = devices.get(device);
    if (value === undefined) {
      value = this.sysctl(sysctlOf(pattern, device));
      devices.set(device, value);
    }
    return value;
  }
}
