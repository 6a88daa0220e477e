import { isObject, stringOf } from '../../formats/netns-json.js';

/** What nft reads of a packet, of its connection or of the moment that no question and no file of a namespace tells. */
const META: ReadonlySet<string> = new Set([
  'length',
  'priority',
  'rtclassid',
  'cpu',
  'cgroup',
  'random',
  'ipsec',
  'secpath',
  'nftrace',
  'time',
  'day',
  'hour',
]);
const CONNTRACK: ReadonlySet<string> = new Set([
  'expiration',
  'helper',
  'label',
  'count',
  'id',
  'bytes',
  'packets',
  'avgpkt',
  'secmark',
]);
const OTHERS: ReadonlySet<string> = new Set(['payload', 'tcp option', 'sctp chunk', 'osf', 'rt', 'ipsec', 'socket']);

/** Whether the expression is understood, and only its value is not known. */
export function readsUnseen(json: unknown): boolean {
  if (Array.isArray(json)) return json.some(readsUnseen);
  if (!isObject(json)) return false;
  return Object.entries(json).some(([name, body]) => {
    const key = isObject(body) ? (stringOf(body['key']) ?? '') : '';
    if (name === 'meta') return META.has(key);
    if (name === 'ct') return CONNTRACK.has(key);
    return OTHERS.has(name) || readsUnseen(body);
  });
}
