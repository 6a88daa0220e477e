import type { Trace } from '../walk/trace.js';

/** Field order of the contract of `-o json`; fields that are not named follow in their own order. */
interface Shape {
  readonly keys: readonly string[];
  /** Shape of a field's value, or of each element where it is a list. */
  readonly fields?: Readonly<Record<string, Shape>>;
}

const EVIDENCE: Shape = { keys: ['file', 'line', 'pointer', 'text'] };

const PLACE: Shape = { keys: ['namespace', 'name', 'node'] };

const PATH: Shape = {
  keys: ['probability', 'verdict', 'reason', 'encryption', 'stops', 'links', 'hops'],
  fields: {
    stops: { keys: ['role', 'namespace', 'name', 'node', 'also'], fields: { also: PLACE } },
    links: { keys: ['protocol', 'to', 'also', 'via', 'encrypted', 'inner', 'own', 'endpointAddressType'] },
    hops: {
      keys: ['node', 'netns', 'kind', 'summary', 'packet', 'phase', 'detail', 'stop', 'basis', 'evidence'],
      fields: { packet: { keys: ['src', 'dst', 'protocol', 'mark', 'dev'] }, evidence: EVIDENCE },
    },
  },
};

const TRACE: Shape = {
  keys: ['apiVersion', 'kind', 'source', 'destination', 'request', 'paths', 'expected', 'findings', 'unknowns'],
  fields: {
    source: { keys: ['kind', 'namespace', 'name', 'ip', 'node', 'mode'] },
    destination: { keys: ['kind', 'namespace', 'name', 'ip', 'port', 'host'] },
    request: { keys: ['protocol', 'method', 'path', 'headers'] },
    paths: PATH,
    expected: { keys: ['paths'], fields: { paths: PATH } },
    findings: {
      keys: ['code', 'severity', 'title', 'subject', 'message', 'fix', 'docs', 'evidence'],
      fields: { subject: { keys: ['kind', 'namespace', 'name'] }, evidence: EVIDENCE },
    },
    unknowns: { keys: ['fact', 'reason'] },
  },
};

/** The trace with its fields in the order of the contract; nothing is added or left out. */
export function inContractOrder(trace: Trace): unknown {
  return ordered(trace, TRACE);
}

function ordered(value: unknown, shape: Shape): unknown {
  if (Array.isArray(value)) return value.map((element: unknown) => ordered(element, shape));
  if (typeof value !== 'object' || value === null) return value;
  const entries = new Map<string, unknown>(Object.entries(value));
  const result: Record<string, unknown> = {};
  const put = (key: string, field: unknown): void => {
    const inner = shape.fields?.[key];
    // defineProperty: a header named __proto__ is a field like any other.
    Object.defineProperty(result, key, {
      value: inner === undefined ? field : ordered(field, inner),
      enumerable: true,
      configurable: true,
      writable: true,
    });
  };
  for (const key of shape.keys) if (entries.has(key) && entries.get(key) !== undefined) put(key, entries.get(key));
  for (const [key, field] of entries) if (!shape.keys.includes(key) && field !== undefined) put(key, field);
  return result;
}
