import { Document, isScalar, Scalar, visit } from 'yaml';
import type { WorkloadList } from '../checks/workload-list.js';
import type { Trace } from '../walk/trace.js';
import { escapeInJson, isUnsafe } from './escape.js';
import { inContractOrder } from './order.js';

/** `trace -o yaml`: the same object as `-o json`. */
export function renderYaml(trace: Trace): string {
  return yamlOf(inContractOrder(trace));
}

/** `ls -o yaml`, likewise. */
export function renderWorkloadsYaml(list: WorkloadList): string {
  return yamlOf(list);
}

/** Strings that could steer a terminal are double-quoted with `\uXXXX`. */
function yamlOf(value: unknown): string {
  const document = new Document(value, { aliasDuplicateObjects: false, version: '1.2' });
  visit(document, {
    Scalar(_key, node) {
      if (isScalar(node) && typeof node.value === 'string' && isUnsafe(node.value)) node.type = Scalar.QUOTE_DOUBLE;
    },
  });
  return escapeInJson(document.toString({ lineWidth: 0, doubleQuotedMinMultiLineLength: Number.MAX_SAFE_INTEGER }));
}
