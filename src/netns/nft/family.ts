import { isObject } from '../../formats/netns-json.js';

const META: ReadonlySet<unknown> = new Set(['nfproto', 'protocol']);
const HEADERS: ReadonlySet<unknown> = new Set(['ip', 'ip6', 'icmp', 'icmpv6']);

/** Whether some part of a rule holds for packets of one family alone, or asks which it is. */
export function namesFamily(json: unknown): boolean {
  if (Array.isArray(json)) return json.some(namesFamily);
  if (!isObject(json)) return false;
  const { meta, payload, ct } = json;
  if (isObject(meta) && META.has(meta['key'])) return true;
  if (isObject(payload) && HEADERS.has(payload['protocol'])) return true;
  if (isObject(ct) && /^ip6? /.test(String(ct['key']))) return true;
  return Object.values(json).some(namesFamily);
}
