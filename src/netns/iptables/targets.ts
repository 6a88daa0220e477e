import type { Evidence } from '../../formats/evidence.js';
import { parseCidr, parseIp } from '../../formats/ip.js';
import type { RuleTarget } from '../../formats/iptables-save.js';
import type { Addr, Family } from '../address.js';
import { FactMissing } from '../choices.js';
import { ACCEPT, CONTINUE, DROP, REJECT, RETURN, type Action, type Flow } from '../flow.js';
import { setConnmark, setMark } from '../marks.js';
import { bindNat, masquerade, portRange, redirect, setupNat, type NatRange } from '../nat.js';
import { placeOf, unsupported, type Runtime } from '../runtime.js';
import { tproxyDeliver } from '../tproxy.js';
import { setTemplate } from '../track.js';
import { setTarget } from './set-target.js';
import { maskedValue, numberRange, Options } from './values.js';

type TargetCompiler = (target: RuleTarget, family: Family, runtime: Runtime, evidence: Evidence) => Action | null;

/** MARK: --set-xmark clears the mask's bits, then XORs (xt_mark.c); the older spellings are kept by hand-made files. */
const mark: TargetCompiler = (target, _family, _runtime, evidence) => {
  const options = new Options(target);
  for (const [name, apply] of [
    ['--set-xmark', (old: number, value: number, mask: number) => (old & ~mask) ^ value],
    ['--set-mark', (old: number, value: number, mask: number) => (old & ~(mask | value)) ^ value],
    ['--and-mark', (old: number, value: number) => old & value],
    ['--or-mark', (old: number, value: number) => old | value],
    ['--xor-mark', (old: number, value: number) => old ^ value],
  ] as const) {
    const option = options.take(name);
    if (option === null) continue;
    const parsed = maskedValue(option.values[0]);
    if (parsed === null || !options.done) return null;
    return (flow) => {
      setMark(flow, apply(flow.mark, parsed.value, parsed.mask) >>> 0, evidence);
      return CONTINUE;
    };
  }
  return null;
};

/** connmark_tg of linux net/netfilter/xt_connmark.c (v6.12). */
const connmark: TargetCompiler = (target, _family, _runtime, evidence) => {
  const options = new Options(target);
  const save = options.flag('--save-mark');
  const restore = options.flag('--restore-mark');
  const nf = options.value('--nfmask');
  const ct = options.value('--ctmask');
  const both = options.value('--mask');
  const nfmask = maskedValue(nf ?? both ?? '0xffffffff');
  const ctmask = maskedValue(ct ?? both ?? '0xffffffff');
  const set = ((): { value: number; mask: number } | null => {
    for (const name of ['--set-xmark', '--set-mark', '--and-mark', '--or-mark', '--xor-mark'] as const) {
      const option = options.take(name);
      if (option === null) continue;
      const parsed = maskedValue(option.values[0]);
      if (parsed === null) return null;
      const { value, mask } = parsed;
      if (name === '--set-xmark') return { value, mask };
      if (name === '--set-mark') return { value, mask: (mask | value) >>> 0 };
      if (name === '--and-mark') return { value: 0, mask: ~value >>> 0 };
      if (name === '--or-mark') return { value, mask: value };
      return { value, mask: 0 };
    }
    return null;
  })();
  if (!options.done || nfmask === null || ctmask === null) return null;
  if (restore) {
    return (flow) => {
      if (flow.ct !== null) {
        setMark(flow, ((flow.mark & ~nfmask.value) ^ (flow.ct.mark & ctmask.value)) >>> 0, evidence);
      }
      return CONTINUE;
    };
  }
  const apply = save
    ? (flow: Flow, old: number): number => ((old & ~ctmask.value) ^ (flow.mark & nfmask.value)) >>> 0
    : set === null
      ? null
      : (_flow: Flow, old: number): number => ((old & ~set.mask) ^ set.value) >>> 0;
  if (apply === null) return null;
  return (flow) => {
    if (flow.ct === null) return CONTINUE;
    setConnmark(flow, apply(flow, flow.ct.mark), evidence);
    return CONTINUE;
  };
};

/** `10.0.0.1`, `10.0.0.1-10.0.0.9`, `:80`, `10.0.0.1:80-90`, `[fd00::1]:80`. */
function natRange(text: string, family: Family): Pick<NatRange, 'addresses' | 'ports' | 'basePort'> | null {
  let rest = text;
  let portText: string | null = null;
  if (family === 6) {
    const bracket = /^\[([^\]]*)\](?:-\[([^\]]*)\])?(?::(.+))?$/.exec(text);
    if (bracket !== null) {
      rest = bracket[2] === undefined ? (bracket[1] ?? '') : `${bracket[1] ?? ''}-${bracket[2]}`;
      portText = bracket[3] ?? null;
    } else if (/^:\d/.test(text) && !text.includes('::')) {
      rest = '';
      portText = text.slice(1);
    }
  } else {
    const colon = text.indexOf(':');
    if (colon >= 0) {
      rest = text.slice(0, colon);
      portText = text.slice(colon + 1);
    }
  }
  let addresses: NatRange['addresses'] = null;
  if (rest !== '') {
    const [from, to] = rest.split('-').map((part) => parseIp(part));
    if (from === null || from === undefined || from.family !== family) return null;
    if (to !== undefined && (to === null || to.family !== family)) return null;
    addresses = { from: from.value, to: to?.value ?? from.value };
  }
  if (portText === null) return { addresses, ports: null, basePort: null };
  const [range, base] = portText.split('/');
  const ports = numberRange(range, 65535, '-');
  const basePort = base === undefined ? null : Number(base);
  if (ports === null || Number.isNaN(basePort)) return null;
  return { addresses, ports, basePort };
}

const nat =
  (manip: 'SRC' | 'DST', option: string): TargetCompiler =>
  (target, family, _runtime, evidence) => {
    const options = new Options(target);
    const text = options.value(option);
    const random = options.flag('--random') || options.flag('--random-fully');
    options.flag('--random-fully');
    options.flag('--persistent');
    const range = text === null ? null : natRange(text, family);
    if (range === null || !options.done) return null;
    const full: NatRange = { ...range, random, netmap: null };
    return (flow) => bindNat(flow, manip, setupNat(flow, manip, full), evidence);
  };

const local =
  (manip: 'SRC' | 'DST'): TargetCompiler =>
  (target, _family, runtime, evidence) => {
    const options = new Options(target);
    const text = options.value('--to-ports');
    const random = options.flag('--random') || options.flag('--random-fully');
    options.flag('--random-fully');
    const ports = text === null ? null : numberRange(text, 65535, '-');
    if ((text !== null && ports === null) || !options.done) return null;
    const apply = manip === 'DST' ? redirect : masquerade;
    const range = portRange(ports, random);
    return (flow) => bindNat(flow, manip, apply(flow, runtime.devices, range), evidence);
  };

/** NETMAP translates destinations before routing and sources after it. */
const netmap: TargetCompiler = (target, family, _runtime, evidence) => {
  const options = new Options(target);
  const cidr = parseCidr(options.value('--to') ?? '');
  if (cidr === null || cidr.ip.family !== family || !options.done) return null;
  const network: Addr = cidr.ip.value;
  const range: NatRange = {
    addresses: null,
    ports: null,
    random: false,
    basePort: null,
    netmap: { network, prefix: cidr.prefix },
  };
  return (flow) => {
    const manip = flow.hook === 'PREROUTING' || flow.hook === 'OUTPUT' ? 'DST' : 'SRC';
    return bindNat(flow, manip, setupNat(flow, manip, range), evidence);
  };
};

const tproxy: TargetCompiler = (target, family, runtime, evidence) => {
  const options = new Options(target);
  const port = Number(options.value('--on-port'));
  const ip = parseIp(options.value('--on-ip') ?? (family === 4 ? '0.0.0.0' : '::'));
  const masked = maskedValue(options.value('--tproxy-mark') ?? '0x0/0x0');
  if (!Number.isInteger(port) || ip === null || ip.family !== family || masked === null || !options.done) return null;
  return (flow) => {
    if (!tproxyDeliver(flow, runtime, ip.value, port, evidence)) return DROP;
    setMark(flow, ((flow.mark & ~masked.mask) ^ masked.value) >>> 0, evidence);
    return ACCEPT;
  };
};

/** CT --zone, --zone-orig, --zone-reply, --notrack; NOTRACK. In the raw table, before conntrack. */
const ct: TargetCompiler = (target, _family, _runtime, evidence) => {
  const options = new Options(target);
  const notrack = target.name === 'NOTRACK' || options.flag('--notrack');
  const zone = zoneOf(options.value('--zone'));
  const original = zoneOf(options.value('--zone-orig'));
  const reply = zoneOf(options.value('--zone-reply'));
  for (const harmless of ['--ctevents', '--expevents', '--timeout']) options.take(harmless);
  // a helper only adds expectations for later connections
  options.take('--helper');
  if (!options.done || [zone, original, reply].includes(undefined)) return null;
  return (flow) => {
    // xt_ct_target: "Previously seen (loopback)? Ignore."
    if (flow.ct !== null || flow.ctState === 'UNTRACKED') return CONTINUE;
    if (notrack) {
      // nf_ct_set(skb, NULL, IP_CT_UNTRACKED): the following rules of raw see it
      flow.ctState = 'UNTRACKED';
    } else {
      flow.zone = zone ?? original ?? 0;
      flow.zoneReply = zone ?? reply ?? 0;
      setTemplate(flow);
    }
    const words = notrack ? 'not tracked' : `conntrack zone ${flow.zone}`;
    flow.note('netfilter', words, evidence);
    return CONTINUE;
  };
};

function zoneOf(text: string | null): number | null | undefined {
  if (text === null) return null;
  return /^\d{1,5}$/.test(text) ? Number(text) : undefined;
}

const silent: TargetCompiler = () => () => CONTINUE;

const verdictOf =
  (verdict: typeof ACCEPT | typeof DROP | typeof RETURN): TargetCompiler =>
  (target, _family, _runtime, evidence) => {
    if (verdict === RETURN) return () => RETURN;
    const words = target.name.toLowerCase();
    return (flow) => {
      if (verdict !== ACCEPT) flow.note('netfilter', words, evidence);
      else flow.decidedBy = evidence;
      return verdict;
    };
  };

const reject: TargetCompiler = (target, _family, _runtime, evidence) => {
  const options = new Options(target);
  const reset = options.value('--reject-with') === 'tcp-reset';
  if (!options.done) return null;
  return (flow) => {
    flow.rejectsByReset = reset;
    flow.note('netfilter', reset ? 'rejected with a RST' : 'rejected with an ICMP error', evidence);
    return REJECT;
  };
};

/** The route is looked up again behind such a rule of `mangle OUTPUT` (ipt_mangle_out, ip6t_mangle_out: the hop limit, too). */
const tos: TargetCompiler = () => (flow) => {
  flow.tosWritten = true;
  return CONTINUE;
};

const COMPILERS: ReadonlyMap<string, TargetCompiler> = new Map([
  ['ACCEPT', verdictOf(ACCEPT)],
  ['DROP', verdictOf(DROP)],
  ['REJECT', reject],
  ['RETURN', verdictOf(RETURN)],
  ['MARK', mark],
  ['CONNMARK', connmark],
  ['CT', ct],
  ['NOTRACK', ct],
  ['REDIRECT', local('DST')],
  ['MASQUERADE', local('SRC')],
  ['DNAT', nat('DST', '--to-destination')],
  ['SNAT', nat('SRC', '--to-source')],
  ['NETMAP', netmap],
  ['TPROXY', tproxy],
  // change nothing that decides a path: they log, count, colour or copy
  ...(['LOG', 'NFLOG', 'ULOG', 'TRACE', 'TCPMSS', 'TEE', 'CHECKSUM', 'CLASSIFY', 'AUDIT', 'LED'] as const).map(
    (name): [string, TargetCompiler] => [name, silent],
  ),
  ['RATEEST', silent],
  ['IDLETIMER', silent],
  ['DSCP', tos],
  ['TOS', tos],
  ['HL', tos],
  ['TTL', silent],
  ['TCPOPTSTRIP', silent],
  ['SECMARK', silent],
  ['CONNSECMARK', silent],
]);

/** Null where the target is a user-defined chain. What no code here knows ends the flow as unknown. */
export function compileTarget(target: RuleTarget, family: Family, runtime: Runtime, evidence: Evidence): Action {
  const compiler = target.name === 'SET' ? setTarget : COMPILERS.get(target.name);
  const compiled = compiler?.(target, family, runtime, evidence) ?? null;
  if (compiled !== null) return compiled;
  const unknown = unsupported(`target "${target.name}"`, evidence);
  return (flow) => {
    flow.note('netfilter', `target ${target.name} at ${placeOf(evidence)} is not known`, evidence);
    throw new FactMissing(unknown);
  };
}

export function isBuiltinTarget(name: string): boolean {
  return name === 'SET' || COMPILERS.has(name);
}
