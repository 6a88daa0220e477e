import type { LabelSelector, Labels } from '../formats/kubernetes-types.js';

/** A map of labels as selector: every entry must be there (an empty one takes all). */
export function labelsMatch(selector: Labels, labels: Labels): boolean {
  return Object.entries(selector).every(([key, value]) => labels[key] === value);
}

/**
 * A label selector with expressions, as metav1.LabelSelectorAsSelector reads it. Null where an operator is not known:
 * nobody may take that for a match or a mismatch.
 */
export function selectorMatches(selector: LabelSelector, labels: Labels): boolean | null {
  if (!labelsMatch(selector.matchLabels, labels)) return false;
  let unknown = false;
  for (const { key, operator, values } of selector.matchExpressions) {
    const value = labels[key];
    switch (operator) {
      case 'In':
        if (value === undefined || !values.includes(value)) return false;
        break;
      case 'NotIn':
        if (value !== undefined && values.includes(value)) return false;
        break;
      case 'Exists':
        if (value === undefined) return false;
        break;
      case 'DoesNotExist':
        if (value !== undefined) return false;
        break;
      default:
        unknown = true;
    }
  }
  return unknown ? null : true;
}
