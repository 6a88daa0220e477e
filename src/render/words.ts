import type { Evidence } from '../formats/evidence.js';
import type { Link, Party, Path, Stop, StopRole, Trace, Verdict } from '../walk/trace.js';
import { escapeTerminal } from './escape.js';

/** `foo/sleep-7c`, a bare name (`node/node-a`) where there is no namespace. Escaped. */
export function stopName(stop: { readonly namespace: string | null; readonly name: string }): string {
  return escapeTerminal(
    stop.namespace === null || stop.namespace === '' ? stop.name : `${stop.namespace}/${stop.name}`,
  );
}

export function roleText(role: StopRole): string {
  switch (role) {
    case 'workload':
    case 'ztunnel':
    case 'sidecar':
    case 'waypoint':
    case 'gateway':
      return role;
    case 'external':
      return 'outside the cluster';
    case 'node':
      return 'process on the node';
  }
}

export function verdictText(verdict: Verdict): string {
  switch (verdict) {
    case 'delivered':
    case 'denied':
    case 'dropped':
    case 'refused':
      return verdict;
    case 'error':
      return 'failed';
    case 'unknown':
      return 'unknown';
  }
}

/** What the person who runs the client sees. */
export function symptomText(verdict: Verdict): string | null {
  switch (verdict) {
    case 'delivered':
    case 'unknown':
      return null;
    case 'denied':
      return 'a policy refuses it: the client gets a reset, or 403 from an HTTP proxy';
    case 'dropped':
      return 'the client hangs until it times out';
    case 'refused':
      return 'the client gets "connection refused", or 503 from its proxy';
    case 'error':
      return 'a proxy gives up: the client gets an error or a reset';
  }
}

export function encryptionText(encryption: Path['encryption']): string | null {
  switch (encryption) {
    case 'mtls':
      return 'encrypted (mTLS)';
    case 'plaintext':
      return 'in plaintext';
    case 'mixed':
      return 'encrypted on some links, plaintext on others';
    case null:
      return null;
  }
}

/** `HBONE to 10.244.2.6:15008, inside it 10.244.2.6:80`. Escaped. */
export function linkText(link: Link): string {
  const more = link.also === undefined || link.also.length === 0 ? '' : ` and ${String(link.also.length)} more`;
  const to = `${escapeTerminal(link.to)}${more}`;
  const inner = link.inner === undefined ? '' : `, inside it ${escapeTerminal(link.inner)}`;
  switch (link.protocol) {
    case 'hbone':
      return `HBONE to ${to}${inner}`;
    case 'tls':
      return `TLS to ${to}`;
    case 'tcp':
      return `TCP to ${to}`;
    case 'udp':
      return `UDP to ${to}`;
  }
}

/** How a link is protected: own = between a workload and its own proxy, inside one pod or node. */
export function protectionOf(link: Link): 'own' | 'mtls' | 'plaintext' | 'unknown' {
  if (link.own === true) return 'own';
  if (link.encrypted === true) return 'mtls';
  if (link.encrypted === false) return 'plaintext';
  // The contract leaves `encrypted` out only between a workload and its own proxy.
  return link.protocol === 'hbone' || link.protocol === 'tls' ? 'unknown' : 'own';
}

/** `50%`, `33.3%`, `<0.1%`, `share unknown`. */
export function shareText(probability: number | null): string {
  if (probability === null) return 'share unknown';
  const percent = probability * 100;
  if (percent > 0 && percent < 0.1) return '<0.1%';
  const rounded = Math.round(percent * 10) / 10;
  return `${String(rounded)}%`;
}

/** The destination as a person would type it: `httpbin.bar.svc.cluster.local:8000`, `bar/httpbin-1:80`. Escaped. */
export function partyText(party: Party): string {
  const port = party.port === undefined || party.port === null ? '' : `:${String(party.port)}`;
  if (party.host !== undefined && party.host !== null) return escapeTerminal(`${party.host}${port}`);
  const name = party.namespace === null ? party.name : `${party.namespace}/${party.name}`;
  return escapeTerminal(`${name}${port}`);
}

/** `GET /get`, `TCP`. Escaped. */
export function requestText(request: Trace['request']): string {
  if (request.protocol !== 'http') return request.protocol.toUpperCase();
  return escapeTerminal(`${request.method ?? 'GET'} ${request.path ?? '/'}`);
}

/** Folder of a file that belongs to one pod or node (`pods/foo/sleep-1/`), and the rest; folder `` where there is none. */
export function splitFile(file: string): { readonly folder: string; readonly rest: string } {
  const match = /^(pods\/[^/]+\/[^/]+\/|nodes\/[^/]+\/)(.*)$/s.exec(file);
  if (match?.[1] === undefined || match[2] === undefined) return { folder: '', rest: file };
  return { folder: match[1], rest: match[2] };
}

/** `netns/iptables-save.txt:17`, `ztunnel/config_dump.json#/workloads/3`; relative to `folder`. Escaped. */
export function placeText(evidence: Evidence, folder: string): string {
  const file = evidence.file.startsWith(folder) ? evidence.file.slice(folder.length) : evidence.file;
  const line = evidence.line === undefined ? '' : `:${String(evidence.line)}`;
  const pointer = evidence.pointer === undefined ? '' : `#${evidence.pointer}`;
  return escapeTerminal(`${file}${line}${pointer}`);
}

/** Two stops that are the same process in the same place. */
export function sameStop(a: Stop, b: Stop): boolean {
  return a.role === b.role && a.namespace === b.namespace && a.name === b.name;
}
