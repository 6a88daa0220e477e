import { isObject, stringOf } from '../../formats/netns-json.js';
import { ACCEPT, BREAK, CONTINUE, DROP, RETURN, type Action } from '../flow.js';
import type { NftContext } from './context.js';

/** The next statement. */
export const NEXT = CONTINUE;
export { BREAK };

/** What one statement does: go on, leave the rule (BREAK), or a verdict (RETURN: leave the chain). */
export type Statement = Action;

/** What kind of statement it is: the one key of its object. */
export function keyOf(json: unknown): string {
  return isObject(json) ? (Object.keys(json)[0] ?? '') : typeof json === 'string' ? json : '';
}

/** A verdict, as a statement of its own or as the right side of a verdict map. */
export function verdictStatement(json: unknown, context: NftContext): Statement | null {
  const key = keyOf(json);
  const { evidence } = context;
  switch (key) {
    case 'accept':
      return (flow) => {
        flow.decidedBy = evidence;
        return ACCEPT;
      };
    case 'drop':
      return (flow) => {
        flow.note('netfilter', 'drop', evidence);
        return DROP;
      };
    case 'return':
      return () => RETURN;
    case 'continue':
      return () => BREAK;
    case 'jump':
    case 'goto': {
      const target = targetChain(json);
      if (target === null) return null;
      if (key === 'goto') return context.goTo(target);
      const run = context.jump(target);
      return (flow) => {
        const result = run(flow);
        return result === CONTINUE ? BREAK : result;
      };
    }
    default:
      return null;
  }
}

/** The chain that a `jump` or `goto` names. */
export function targetChain(json: unknown): string | null {
  const body = isObject(json) ? json[keyOf(json)] : null;
  return isObject(body) ? stringOf(body['target']) : stringOf(body);
}
