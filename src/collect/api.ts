import { CollectError } from './errors.js';
import { asArray, asString, at, type Doc, asRecord } from './json.js';
import { builtInVersion, KINDS, type Kind } from './kinds.js';
import { getBody, type Query, type Session } from './request.js';

/** Which version of each kind the server serves; null: it does not serve the kind at all. */
export type Served = (kind: Kind) => string | null;

/** Where to look: a selector narrows a list to what a question needs, and the server does the narrowing. */
export interface Selection {
  readonly namespace?: string;
  readonly labels?: string;
  readonly fields?: string;
}

const AGGREGATED =
  'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,' +
  'application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json';

/**
 * One request tells the versions of all groups (aggregated discovery, API servers from 1.27); older ones are asked once
 * for the groups and once per group of interest.
 */
export async function discover(session: Session): Promise<Served> {
  const root = parseJson(await getBody(session, '/apis', {}, AGGREGATED), '/apis');
  const served = new Map<string, string>();
  if (at(root, 'kind') === 'APIGroupDiscoveryList') {
    for (const group of asArray(at(root, 'items'))) {
      for (const version of asArray(at(group, 'versions'))) {
        for (const resource of asArray(at(version, 'resources'))) {
          note(served, at(group, 'metadata', 'name'), at(resource, 'resource'), at(version, 'version'));
        }
      }
    }
  } else {
    const wanted = new Set(KINDS.map((kind) => kind.group).filter((group) => builtInVersion(group) === null));
    const groups = asArray(at(root, 'groups')).filter((group) => wanted.has(asString(at(group, 'name')) ?? ''));
    await Promise.all(groups.map((group) => discoverGroup(session, group, served)));
  }
  return (kind) => builtInVersion(kind.group) ?? served.get(`${kind.plural}.${kind.group}`) ?? null;
}

/** It becomes part of a path. */
const VERSION = /^v[0-9][0-9a-z]*$/;

/** Versions come in order of preference: the first that has the kind is the one to read. */
function note(served: Map<string, string>, group: unknown, plural: unknown, version: unknown): void {
  if (typeof group !== 'string' || typeof plural !== 'string' || typeof version !== 'string') return;
  if (!VERSION.test(version)) return;
  const key = `${plural}.${group}`;
  if (!served.has(key)) served.set(key, version);
}

async function discoverGroup(session: Session, group: unknown, served: Map<string, string>): Promise<void> {
  const name = asString(at(group, 'name')) ?? '';
  const preferred = asString(at(group, 'preferredVersion', 'version'));
  const versions = asArray(at(group, 'versions')).flatMap((version) => asString(at(version, 'version')) ?? []);
  for (const version of [...(preferred === null ? [] : [preferred]), ...versions.filter((v) => v !== preferred)]) {
    if (!VERSION.test(version)) continue;
    const path = `/apis/${name}/${version}`;
    const list = parseJson(await getBody(session, path), path);
    for (const resource of asArray(at(list, 'resources'))) note(served, name, at(resource, 'name'), version);
  }
}

export function parseJson(body: Buffer, what: string): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    throw new CollectError('unreachable', `${what}: the answer is no JSON (${body.length} bytes)`);
  }
}

function collectionPath(kind: Kind, version: string, namespace: string | undefined): string {
  const root = kind.group === '' ? '/api/v1' : `/apis/${kind.group}/${version}`;
  return `${root}${namespace === undefined ? '' : `/namespaces/${namespace}`}/${kind.plural}`;
}

const PAGE = 500;
/** More objects of one kind than any API server holds: a list that still goes on does not end. */
const PAGES = 4000;
const RESTARTS = 3;

/**
 * A list, page by page, with `kind` and `apiVersion` put back into every item (a list of one kind leaves them out). A
 * narrowed list is read from the server's cache in one answer (resourceVersion=0); a whole one of a kind that grows with
 * the cluster is paged. A page that has expired (410) starts the list again. Throws CollectError.
 */
export async function listAll(session: Session, kind: Kind, version: string, selection: Selection): Promise<Doc[]> {
  const path = collectionPath(kind, version, selection.namespace);
  const narrow = kind.size === 'config' || selection.labels !== undefined || selection.fields !== undefined;
  const base: Query = { labelSelector: selection.labels, fieldSelector: selection.fields };
  for (let restart = 0; ; restart++) {
    try {
      if (narrow) return (await page(session, kind, path, { ...base, resourceVersion: '0' })).items;
      const items: Doc[] = [];
      let token: string | undefined;
      let pages = 0;
      do {
        if (++pages > PAGES) throw endless(path);
        const next = await page(session, kind, path, { ...base, limit: PAGE, continue: token });
        items.push(...next.items);
        if (next.token !== undefined && next.token === token) throw endless(path);
        token = next.token;
      } while (token !== undefined);
      return items;
    } catch (error) {
      const expired = error instanceof CollectError && error.status === 410;
      if (!expired || restart === RESTARTS) throw error;
      session.count.retries++;
    }
  }
}

function endless(path: string): CollectError {
  return new CollectError('refused', `${path}: the list does not end`);
}

async function page(
  session: Session,
  kind: Kind,
  path: string,
  query: Query,
): Promise<{ readonly items: Doc[]; readonly token: string | undefined }> {
  const list = parseJson(await getBody(session, path, query), path);
  const apiVersion = asString(at(list, 'apiVersion'));
  const items = asArray(at(list, 'items')).flatMap((item) => {
    const object = asRecord(item);
    return object === null ? [] : [{ apiVersion, kind: kind.kind, ...object }];
  });
  return { items, token: asString(at(list, 'metadata', 'continue')) || undefined };
}

/** One object of the cluster, or a Namespace, by its name, with `kind` and `apiVersion`. Throws CollectError. */
export async function getOne(session: Session, kind: Kind, version: string, name: string): Promise<Doc> {
  const path = `${collectionPath(kind, version, undefined)}/${name}`;
  const object = asRecord(parseJson(await getBody(session, path), path));
  if (object === null || at(object, 'metadata', 'name') !== name) {
    throw new CollectError('refused', `${path}: the answer is no ${kind.kind} of that name`);
  }
  return { kind: kind.kind, ...object };
}

/** The release of the API server (`v1.34.2`), null where it does not say. */
export async function serverVersion(session: Session): Promise<string | null> {
  return asString(at(parseJson(await getBody(session, '/version'), '/version'), 'gitVersion'));
}
