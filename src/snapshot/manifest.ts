import type { Manifest, SnapshotProblem } from './snapshot.js';

export const MANIFEST_FILE = 'snapshot.json';

/**
 * Reads `snapshot.json`. Narrowed by hand: a schema library would cost a third of the start-up of every command. What has
 * the wrong type counts as absent; a file that is no manifest at all gives null and a problem, never a refusal.
 */
export function parseManifest(text: string): {
  readonly manifest: Manifest | null;
  readonly problem: SnapshotProblem | null;
} {
  let root: unknown;
  try {
    root = JSON.parse(text);
  } catch {
    return { manifest: null, problem: problem('not JSON: expected an object with "kind": "Snapshot"') };
  }
  const fields = record(root);
  if (fields === null) return { manifest: null, problem: problem('expected an object with "kind": "Snapshot"') };
  if (fields['kind'] !== 'Snapshot' || typeof fields['apiVersion'] !== 'string') {
    return { manifest: null, problem: problem('expected "apiVersion": "meshpath.dev/v1" and "kind": "Snapshot"') };
  }
  if (fields['apiVersion'] !== 'meshpath.dev/v1') {
    return { manifest: null, problem: problem(`written for ${fields['apiVersion']}, this reads meshpath.dev/v1`) };
  }
  const cluster = record(fields['cluster']);
  const scope = record(fields['scope']);
  const namespace = string(cluster?.['namespace']);
  const partial = array(fields['partial']).flatMap((entry) => {
    const file = string(record(entry)?.['file']);
    const namespaces = array(record(entry)?.['namespaces']).flatMap((name) => string(name) ?? []);
    return file === null ? [] : [{ file, namespaces }];
  });
  return {
    manifest: {
      capturedAt: string(fields['capturedAt']),
      meshpathVersion: string(fields['meshpathVersion']),
      cluster: {
        context: string(cluster?.['context']),
        server: string(cluster?.['server']),
        istio: array(cluster?.['istio']).flatMap((release) => string(release) ?? []),
        ...(namespace === null ? {} : { namespace }),
      },
      scope: scope === null ? null : { kind: scope['kind'] === 'trace' ? 'trace' : 'all', note: string(scope['note']) },
      redacted: typeof fields['redacted'] === 'boolean' ? fields['redacted'] : null,
      problems: array(fields['problems']).flatMap((entry) => {
        const file = string(record(entry)?.['file']);
        return file === null ? [] : [{ file, reason: string(record(entry)?.['reason']) ?? 'no reason given' }];
      }),
      ...(partial.length === 0 ? {} : { partial }),
    },
    problem: null,
  };
}

function problem(message: string): SnapshotProblem {
  return { file: MANIFEST_FILE, message };
}

function record(value: unknown): Readonly<Record<string, unknown>> | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : null;
}

function array(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function string(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

/**
 * What the manifest says of a file that is not there, or of a folder above it, since what could not be collected of a pod is
 * named once, by its folder; `.` is all that is not there. Null: nothing.
 */
export function problemOf(manifest: Manifest | null, path: string): string | null {
  const problems = manifest?.problems ?? [];
  for (const entry of problems) {
    const file = entry.file.replace(/\/+$/, '');
    if (path === file || path.startsWith(`${file}/`)) return entry.reason;
  }
  return problems.find((entry) => entry.file === '.')?.reason ?? null;
}

/** Why a file is not there. */
export function missingReason(manifest: Manifest | null, path: string): string {
  return problemOf(manifest, path) ?? 'not in the snapshot';
}
