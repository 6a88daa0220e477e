import type { Evidence } from '../formats/evidence.js';
import type { Release } from './model.js';

/** `docker.io/istio/pilot:1.30.3-distroless@sha256:…` → 1.30.3; null where the tag names no release. */
export function releaseOfImage(image: string, evidence: Evidence): Release | null {
  const name = image.split('@')[0] ?? '';
  const tag = /:([^/:]+)$/.exec(name)?.[1];
  return tag === undefined ? null : parseRelease(tag, evidence);
}

/** `1.30.3`, `v1.30.3`, `1.31.0-rc.0`, `1.30-alpha.abc`: what a tag or the manifest says. */
export function parseRelease(text: string, evidence: Evidence): Release | null {
  const match = /^v?(\d+)\.(\d+)(?:\.(\d+))?(?:[-+.].*)?$/.exec(text);
  if (match === null) return null;
  return {
    text: text.replace(/^v/, ''),
    major: Number(match[1]),
    minor: Number(match[2]),
    patch: Number(match[3] ?? 0),
    evidence,
  };
}

/** True where `release` is `minor` (of major 1) or later, and at least `patch` of that minor. */
export function atLeast(release: Release, minor: number, patch = 0): boolean {
  if (release.major !== 1) return release.major > 1;
  return release.minor > minor || (release.minor === minor && release.patch >= patch);
}
