import type { Evidence } from '../formats/evidence.js';
import { FactMissing } from './choices.js';
import type { NetnsFacts } from './facts.js';
import type { Flow } from './flow.js';

/** Something that sees packets on a device apart from the hooks of IP, and is not followed. */
interface Program {
  readonly what: string;
  readonly evidence: Evidence;
}

/** eBPF programs of traffic control and nft's netdev chains may drop, change or redirect: both ways are told. */
export class DevicePrograms {
  private readonly facts: NetnsFacts;
  private readonly direction: 'ingress' | 'egress';
  private readonly known = new Map<string | null, Program | null>();

  constructor(facts: NetnsFacts, direction: 'ingress' | 'egress') {
    this.facts = facts;
    this.direction = direction;
  }

  /** Forks where there is one on this device; the way on which it does not let the packet pass unchanged is unknown. */
  pass(flow: Flow, device: string | null): void {
    let program = this.known.get(device);
    if (program === undefined) {
      program = this.find(device);
      this.known.set(device, program);
    }
    if (program !== null) this.fork(flow, device, program);
  }

  private find(device: string | null): Program | null {
    const chain = this.facts.netdevChains().find((one) => one.device === device && one.direction === this.direction);
    if (chain !== undefined) return { what: 'netdev chain', evidence: chain.evidence };
    const control = this.facts.trafficControl();
    if (control.kind === 'unknown' || device === null || !control.value.hooked.has(device)) return null;
    const program = control.value.programs[0];
    return program === undefined ? null : { what: 'eBPF program', evidence: program };
  }

  private fork(flow: Flow, device: string | null, { what, evidence }: Program): void {
    const place = `${what} at ${this.direction} of ${device ?? '?'}`;
    const unknown = { fact: `${place}: ${evidence.text}`, reason: 'not followed' };
    const key = `${what} ${device ?? ''} ${this.direction}`;
    if (!flow.choices.either(key, `the ${place} lets the packet pass unchanged`, unknown)) {
      flow.note('netfilter', place, evidence);
      throw new FactMissing(unknown);
    }
  }
}
