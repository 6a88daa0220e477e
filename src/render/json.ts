import type { Trace } from '../walk/trace.js';
import { escapeInJson } from './escape.js';
import { inContractOrder } from './order.js';

/**
 * `-o json`: the trace as the contract has it, indented by two, with a newline at the end. Characters that could steer a
 * terminal stand as `\uXXXX`, which is the same JSON.
 */
export function renderJson(trace: Trace): string {
  return `${escapeInJson(JSON.stringify(inContractOrder(trace), null, 2))}\n`;
}
