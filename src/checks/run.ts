import type { Unknown } from '../formats/evidence.js';
import { splitHostPort } from '../formats/ip.js';
import type { Finding, Path, Severity } from '../walk/trace.js';
import type { Check, CheckContext, CheckInput, Draft } from './context.js';
import { CHECKS } from './registry.js';
import { keyOf, subjectsOf } from './subjects.js';

export interface CheckReport {
  /** Those that explain why a path ends where it ends first, then by severity, then by code. */
  readonly findings: readonly Finding[];
  readonly unknowns: readonly Unknown[];
}

/** Runs every check on the pods, nodes and services of one trace. */
export function runChecks(input: CheckInput, checks: readonly Check[] = CHECKS): CheckReport {
  const context: CheckContext = { ...input, subjects: subjectsOf(input) };
  const found: { readonly finding: Finding; readonly rank: readonly (number | string)[] }[] = [];
  const unknowns = new Map<string, Unknown>();
  for (const check of checks) {
    const { drafts, unknowns: open } = check.run(context);
    for (const entry of open) unknowns.set(`${entry.fact}\n${entry.reason}`, entry);
    for (const draft of drafts) {
      const finding = findingOf(check, draft);
      found.push({ finding, rank: rankOf(context, check, draft, finding) });
    }
  }
  found.sort((a, b) => compareRanks(a.rank, b.rank));
  return { findings: found.map((entry) => entry.finding), unknowns: [...unknowns.values()] };
}

function docsOf(code: string): string {
  return `docs/codes/${code}.md`;
}

function findingOf(check: Check, draft: Draft): Finding {
  return {
    code: check.code,
    severity: draft.severity ?? check.severity,
    title: draft.title ?? check.title,
    subject: draft.subject,
    message: draft.message,
    fix: draft.fix,
    docs: docsOf(check.code),
    evidence: draft.evidence,
  };
}

function severityRank(severity: Severity): number {
  switch (severity) {
    case 'error':
      return 0;
    case 'warning':
      return 1;
    case 'info':
      return 2;
  }
}

function rankOf(context: CheckContext, check: Check, draft: Draft, finding: Finding): readonly (number | string)[] {
  const explains = Math.max(0, ...context.paths.map((path) => explanation(context, draft, path)));
  const { kind, namespace, name } = finding.subject;
  const depth = draft.depth ?? check.depth;
  return [
    -explains,
    explains > 0 ? depth : 0,
    severityRank(finding.severity),
    depth,
    check.code,
    `${kind} ${namespace ?? ''}/${name}`,
  ];
}

function compareRanks(a: readonly (number | string)[], b: readonly (number | string)[]): number {
  for (const [index, left] of a.entries()) {
    const right = b[index];
    if (right === undefined || left === right) continue;
    return left < right ? -1 : 1;
  }
  return 0;
}

/** 2: the path ends where the fault acts, and as it makes paths end · 1: it passes there · 0: it explains nothing. */
function explanation(context: CheckContext, draft: Draft, path: Path): 0 | 1 | 2 {
  const { effect } = draft;
  if (effect === null || path.verdict === 'delivered' || !effect.verdicts.includes(path.verdict)) return 0;
  const ends = endsAt(context, path);
  if (effect.at.some((place) => ends.has(place))) return 2;
  return effect.at.some((place) => isOn(path, place)) ? 1 : 0;
}

/** The places at which a path ends: its last stop, the namespace of its last hop, whom its last connection was for. */
function endsAt(context: CheckContext, path: Path): ReadonlySet<string> {
  const places = new Set<string>();
  const stop = path.stops[path.stops.length - 1];
  if (stop !== undefined) {
    places.add(`${stop.namespace}/${stop.name}`);
    for (const more of stop.also ?? []) places.add(`${more.namespace}/${more.name}`);
    if (stop.role === 'ztunnel') places.add(`node/${stop.node}`);
  }
  const hop = path.hops[path.hops.length - 1];
  if (hop !== undefined) places.add(placeOf(hop.netns));
  // A connection that nobody took, or whose end is the last stop itself.
  const link = path.links[path.links.length - 1];
  for (const address of link === undefined ? [] : [link.to, link.inner ?? '']) {
    const target = splitHostPort(address);
    for (const pod of target === null ? [] : context.mesh.podsByIp(target.host)) {
      places.add(keyOf(pod));
      if (pod.node !== null) places.add(`node/${pod.node}`);
    }
  }
  return places;
}

function isOn(path: Path, place: string): boolean {
  return (
    path.hops.some((hop) => placeOf(hop.netns) === place) ||
    path.stops.some((stop) => `${stop.namespace}/${stop.name}` === place)
  );
}

/** `pod/foo/sleep` of a hop is `foo/sleep` of an effect; `node/<name>` is the same in both. */
function placeOf(netns: string): string {
  return netns.startsWith('pod/') ? netns.slice('pod/'.length) : netns;
}
