import { isObject, stringOf, type JsonObject } from '../../formats/netns-json.js';
import { FactMissing } from '../choices.js';
import { setConnmark, setMark } from '../marks.js';
import { unsupported } from '../runtime.js';
import { setTemplate } from '../track.js';
import type { NftContext } from './context.js';
import { compileExpression } from './expression.js';
import { carries } from './payload.js';
import { compileMap } from './sets.js';
import { undecidable } from './undecidable.js';
import { BREAK, NEXT, type Statement } from './verdict.js';

/** Fields for which a chain of type route looks the way up again (nf_route_table_hook4, nf_route_table_hook6). */
const TOS: ReadonlySet<string> = new Set(['dscp', 'ecn', 'flowlabel', 'hoplimit']);

/** What sets a field of the packet, of its connection or of what the kernel keeps beside it. */
export function mangle(body: JsonObject, context: NftContext): Statement | null {
  const { evidence } = context;
  const key = isObject(body['key']) ? body['key'] : {};
  const metaKey = isObject(key['meta']) ? stringOf(key['meta']['key']) : null;
  const ctKey = isObject(key['ct']) ? stringOf(key['ct']['key']) : null;
  if (metaKey !== null && metaKey !== 'mark') return withoutEffect(body['value'], context);
  if (isObject(key['payload']) || 'tcp option' in key || 'exthdr' in key) {
    const has = carries(key, context.runtime);
    const field = isObject(key['payload']) ? stringOf(key['payload']['field']) : 'option';
    if (field === null || ['saddr', 'daddr', 'sport', 'dport'].includes(field)) {
      const open = unsupported(`nft statement ${JSON.stringify({ mangle: body })}`, evidence);
      return (flow) => {
        if (!has(flow)) return BREAK;
        throw new FactMissing(open);
      };
    }
    const tos = TOS.has(field);
    return (flow) => {
      if (!has(flow)) return BREAK;
      if (tos) flow.tosWritten = true;
      return NEXT;
    };
  }
  if (ctKey === 'event' || ctKey === 'label' || ctKey === 'secmark') return withoutEffect(body['value'], context);
  const value = compileExpression(body['value'], context, 'mark');
  if (value === null || value.owner !== undefined) return null;
  if (metaKey === 'mark') {
    return (flow) => {
      const mark = value.get(flow);
      if (typeof mark !== 'number') return BREAK;
      setMark(flow, mark, evidence);
      return NEXT;
    };
  }
  if (ctKey === 'mark') {
    return (flow) => {
      const mark = value.get(flow);
      if (typeof mark !== 'number') return BREAK;
      if (flow.ct?.template === false) setConnmark(flow, mark, evidence);
      return NEXT;
    };
  }
  if (ctKey !== 'zone') return null;
  const direction = isObject(key['ct']) ? stringOf(key['ct']['dir']) : null;
  return (flow) => {
    const zone = value.get(flow);
    if (typeof zone !== 'number') return BREAK;
    // nft_ct_set_zone_eval: what is tracked, or has a zone, keeps it; what was not to be tracked is tracked again
    if (flow.ct !== null) return NEXT;
    flow.zone = direction === 'reply' ? 0 : zone;
    flow.zoneReply = direction === 'original' ? 0 : zone;
    setTemplate(flow);
    flow.note('netfilter', `conntrack zone ${zone}`, evidence);
    return NEXT;
  };
}

/** A field that decides no path; a map without the packet's key breaks the rule off all the same. */
function withoutEffect(value: unknown, context: NftContext): Statement {
  const map = isObject(value) && isObject(value['map']) ? value['map'] : null;
  if (map === null) return () => NEXT;
  const key = compileExpression(map['key'], context);
  const has = key === null ? null : compileMap(map['data'], key.kinds, context, () => true);
  if (key === null || has === null) return undecidable('map', map, context);
  return (flow) => {
    const one = key.get(flow);
    return one !== null && has(one, flow) === true ? NEXT : BREAK;
  };
}
