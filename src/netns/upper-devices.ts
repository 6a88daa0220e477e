import { FactMissing } from './choices.js';
import type { Runtime } from './runtime.js';

const UPPER_KINDS: ReadonlySet<string> = new Set(['bridge', 'bond', 'team', 'openvswitch']);

/** A port of a bridge, bond or team hands its packets to the master before IP sees them. */
export class UpperDevices {
  private readonly runtime: Runtime;
  private readonly found = new Map<string, string>();

  constructor(runtime: Runtime) {
    this.runtime = runtime;
  }

  /** The device on which IP sees what arrives at `name`. */
  of(name: string): string {
    let upper = this.found.get(name);
    if (upper === undefined) {
      upper = this.find(name);
      this.found.set(name, upper);
    }
    return upper;
  }

  private find(name: string): string {
    const addresses = this.runtime.facts.addresses();
    // a port of a bridge has no routes of IPv4
    if (addresses.kind === 'unknown') {
      if (this.runtime.devices.routeThrough(name, 4) !== null) return name;
      throw new FactMissing(addresses.unknown);
    }
    const device = this.runtime.devices.get(name);
    const master = device?.master == null ? null : this.runtime.devices.get(device.master);
    if (master?.kind === 'vrf')
      throw new FactMissing({ fact: `the way of packets in VRF ${master.name}`, reason: 'VRFs are not followed' });
    return master !== null && UPPER_KINDS.has(master.kind ?? '') ? master.name : name;
  }
}
