import type { Evidence, Unknown } from '../formats/evidence.js';
import { FactMissing } from './choices.js';
import type { LinkChain } from './facts.js';
import type { Runtime } from './runtime.js';
import type { Flow } from './flow.js';

/** Something that sees packets on a device apart from the hooks of IP, and is not followed. */
interface Program {
  readonly what: string;
  /** Null where the file that would show it cannot be read. */
  readonly evidence: Evidence | null;
  readonly unknown: Unknown;
}

function seen(what: string, evidence: Evidence): Program {
  return { what, evidence, unknown: { fact: `${what}: ${evidence.text}`, reason: 'not followed' } };
}

/**
 * Devices that only an eBPF data plane makes, and those that it attaches programs to: Cilium (pkg/defaults, "cilium_host";
 * endpoints are lxc*), Calico's eBPF mode (dataplane/linux, "bpfin.cali").
 */
const EBPF_CNIS: readonly { readonly marker: string; readonly attached: RegExp }[] = [
  { marker: 'cilium_host', attached: /^(lxc|cilium_|eth|en|bond)/ },
  { marker: 'bpfin.cali', attached: /^(cali|bpf|eth|en|bond|tunl|vxlan)/ },
];

/** eBPF programs of traffic control and nft's chains of the families netdev, bridge and arp may drop, change or redirect: both ways are told. */
export class DevicePrograms {
  private readonly runtime: Runtime;
  private readonly direction: 'ingress' | 'egress';
  private readonly known = new Map<string | null, Program | null>();

  constructor(runtime: Runtime, direction: 'ingress' | 'egress') {
    this.runtime = runtime;
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
    const chain = this.runtime.facts
      .linkChains()
      .find((one) => one.direction === this.direction && this.sees(one, device));
    if (chain !== undefined) return seen(`${chain.kind} chain`, chain.evidence);
    if (device === null) return null;
    return this.trafficControl(device) ?? this.ownProgram(device);
  }

  private trafficControl(device: string): Program | null {
    const control = this.runtime.facts.trafficControl();
    if (control === null) return null;
    if (control.kind === 'unknown') return { what: 'traffic control', evidence: null, unknown: control.unknown };
    const { hooked, acts } = control.value;
    const qdisc = hooked.get(device);
    if (qdisc === undefined) return null;
    const here = acts.filter(
      (act) =>
        (act.device === null || act.device === device) && (act.direction === null || act.direction === this.direction),
    );
    const [act] = here;
    if (act === undefined) return null;
    const what = here.some(({ kind }) => kind === 'program') ? 'eBPF program' : 'action of traffic control';
    // of several, or of several devices, none can be named
    const surely = here.length === 1 && (act.device !== null || hooked.size === 1);
    return seen(what, surely ? act.evidence : qdisc);
  }

  private sees({ kind, device: own }: LinkChain, device: string | null): boolean {
    switch (kind) {
      case 'netdev':
        return own !== null && device !== null && isOn(own, device);
      case 'bridge':
        return device !== null && this.isBridged(device);
      case 'arp':
        return device !== null && device !== 'lo';
    }
  }

  /** A bridge, or a port of one; also where the devices are not known. */
  private isBridged(name: string): boolean {
    const addresses = this.runtime.facts.addresses();
    if (addresses.kind === 'unknown') return true;
    const { devices } = addresses.value;
    const bridge = (other: string | null): boolean =>
      devices.some((one) => one.name === other && one.kind === 'bridge');
    return bridge(name) || devices.some((one) => one.name === name && bridge(one.master));
  }

  /** A CNI that forwards by eBPF: its marker device says so, also where tc does not list what is attached (tcx). */
  private ownProgram(device: string): Program | null {
    for (const { marker, attached } of EBPF_CNIS) {
      const found = attached.test(device) ? this.runtime.devices.trace(marker) : null;
      if (found !== null) return seen('eBPF program', found);
    }
    return null;
  }

  private fork(flow: Flow, device: string | null, { what, evidence, unknown }: Program): void {
    const place = `${what} at ${this.direction} of ${device ?? '?'}`;
    const here = evidence === null ? unknown : { ...unknown, fact: `${place}: ${evidence.text}` };
    const key = `${what} ${device ?? ''} ${this.direction}`;
    if (!flow.choices.either(key, `the ${place} lets the packet pass unchanged`, here)) {
      flow.note('netfilter', place, evidence);
      throw new FactMissing(here);
    }
  }
}

/** nft names devices exactly, or by their beginning and a star. */
export function isOn(written: string, device: string): boolean {
  return written.endsWith('*') ? device.startsWith(written.slice(0, -1)) : written === device;
}
