import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { answer } from '../../src/commands/_answer.js';
import { openSnapshot } from '../../src/snapshot/open.js';
import type { FileRead, Snapshot } from '../../src/snapshot/snapshot.js';

/** A sidecar that hands a request on, and does not know all of it: what becomes of the verdict. */
const ROOT = path.join(import.meta.dirname, '../fixtures/recordings');
const recorded = await openSnapshot(path.join(ROOT, 'coexistence-1.30.3/snapshot.tar.gz'));
const CLIENT = 'pods/foo-sc/sleep-56df5b9cc9-v5qvv/envoy';

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** The client's sidecar with `change` made of every object in its dump, and without /clusters where `health` is false. */
function client(change: (value: { [key: string]: Json }) => void, health = true): Snapshot {
  const visit = (value: Json): void => {
    if (Array.isArray(value)) return value.forEach(visit);
    if (typeof value !== 'object' || value === null) return;
    change(value);
    Object.values(value).forEach(visit);
  };
  return {
    ...recorded,
    read(name): FileRead {
      const found = recorded.read(name);
      if (name === `${CLIENT}/clusters.json` && !health) return { kind: 'missing', path: name, reason: 'not taken' };
      if (name !== `${CLIENT}/config_dump.json` || found.kind !== 'text') return found;
      const dump = JSON.parse(found.text) as Json;
      visit(dump);
      return { ...found, text: JSON.stringify(dump) };
    },
  };
}

/** Changes the routes to the cluster of httpbin in bar. */
function routed(change: (route: { [key: string]: Json }, action: { [key: string]: Json }) => void): Snapshot {
  return client((value) => {
    const action = value['route'];
    if (typeof action !== 'object' || action === null || Array.isArray(action)) return;
    if (action['cluster'] === 'outbound|8000||httpbin.bar.svc.cluster.local') change(value, action);
  });
}

const asked = (snapshot: Snapshot, to = 'bar/httpbin:8000') => {
  const { paths, unknowns } = answer(snapshot, { from: 'foo-sc/sleep', to });
  return { verdicts: [...new Set(paths.map((one) => one.verdict))], facts: unknowns.map((unknown) => unknown.fact) };
};

describe('what a sidecar that forwards does not know', () => {
  it('nothing: the recorded way is certain', () => {
    expect(asked(client(() => undefined))).toEqual({ verdicts: ['delivered'], facts: [] });
  });

  it('a header that nobody asks for is told, and the way stays certain', () => {
    const adding = { header: { key: 'x-v', value: '%START_TIME%' } };
    const { verdicts, facts } = asked(routed((route) => (route['request_headers_to_add'] = [adding])));
    expect(verdicts).toEqual(['delivered']);
    expect(facts).toEqual(['x-v of the request as the upstream gets it']);
  });

  it('the path decides the route of the next Envoy: the way is no more than likely', () => {
    const policy = { name: 'p', typed_config: { '@type': 'type.googleapis.com/a.b.C' } };
    const { verdicts, facts } = asked(routed((_, action) => (action['path_rewrite_policy'] = policy)));
    expect(verdicts).toEqual(['unknown']);
    expect(facts).toContain(':path of the request as the upstream gets it');
  });

  it('whether the only endpoint is ejected', () => {
    const ejecting = (value: { [key: string]: Json }): void => {
      if (value['name'] === 'outbound|8000||httpbin.bar.svc.cluster.local' && value['connect_timeout'] !== undefined)
        value['outlier_detection'] = { consecutive_5xx: 1 };
    };
    expect(asked(client(ejecting)).verdicts).toEqual(['delivered']);
    const { verdicts, facts } = asked(client(ejecting, false));
    expect(verdicts).toEqual(['unknown']);
    expect(facts.join()).toContain('outlier detection');
  });
});
