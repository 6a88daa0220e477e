import { Document, isScalar, Scalar, visit } from 'yaml';
import type { Trace } from '../walk/trace.js';
import { escapeInJson, isUnsafe } from './escape.js';
import { inContractOrder } from './order.js';

/** `-o yaml`: the same object as `-o json`. Strings that could steer a terminal are double-quoted with `\uXXXX`. */
export function renderYaml(trace: Trace): string {
  const document = new Document(inContractOrder(trace), { aliasDuplicateObjects: false, version: '1.2' });
  visit(document, {
    Scalar(_key, node) {
      if (isScalar(node) && typeof node.value === 'string' && isUnsafe(node.value)) node.type = Scalar.QUOTE_DOUBLE;
    },
  });
  return escapeInJson(document.toString({ lineWidth: 0, doubleQuotedMinMultiLineLength: Number.MAX_SAFE_INTEGER }));
}
