import { isObject } from '../../formats/netns-json.js';
import type { Predicate } from '../flow.js';
import { placeOf } from '../runtime.js';
import type { NftContext } from './context.js';

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

/**
 * Whether the rule is for packets of this family, where the list may have left that away: in an inet table nft prints neither
 * `meta nfproto` nor `meta protocol` before `ct protocol` and `reject with tcp reset` (ct_meta_common_postprocess,
 * stmt_reject_postprocess; nftables src/netlink_delinearize.c, v1.0.6). One answer for the whole rule.
 */
export function isForFamily({ anyFamily, family, evidence }: NftContext): Predicate {
  if (!anyFamily) return () => true;
  const place = placeOf(evidence);
  const condition = `the rule at ${place} is for IPv${family}`;
  const reason = 'nft does not print it before "ct protocol" and "reject with tcp reset"';
  const unknown = { fact: `family of the rule at ${place}`, reason };
  return ({ choices }) => choices.either(`nft family ${place}`, condition, unknown);
}
