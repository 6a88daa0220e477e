import type { LabelSelector } from '../formats/kubernetes-types.js';
import { ExpectedError } from './_errors.js';

const KEY = '[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?';
const VALUE = '(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)?';
const FORMS = {
  Exists: new RegExp(`^(${KEY})$`),
  DoesNotExist: new RegExp(`^!\\s*(${KEY})$`),
  NotEqual: new RegExp(`^(${KEY})\\s*!=\\s*(${VALUE})$`),
  Equal: new RegExp(`^(${KEY})\\s*==?\\s*(${VALUE})$`),
  In: new RegExp(`^(${KEY})\\s+in\\s*\\(([^()]*)\\)$`),
  NotIn: new RegExp(`^(${KEY})\\s+notin\\s*\\(([^()]*)\\)$`),
};

/** `app=web,tier in (a,b),!old`, as kubectl takes it (k8s.io/apimachinery v0.34 pkg/labels/selector.go). */
export function parseSelector(text: string): LabelSelector {
  const requirements = text.split(/,(?![^(]*\))/).map((part) => part.trim());
  return { matchLabels: {}, matchExpressions: requirements.map((requirement) => expression(requirement, text)) };
}

function expression(requirement: string, whole: string): LabelSelector['matchExpressions'][number] {
  for (const [form, pattern] of Object.entries(FORMS)) {
    const [, key, value = ''] = pattern.exec(requirement) ?? [];
    if (key === undefined) continue;
    const values = value.split(',').map((one) => one.trim());
    if (form === 'Exists' || form === 'DoesNotExist') return { key, operator: form, values: [] };
    return { key, operator: form === 'Equal' || form === 'In' ? 'In' : 'NotIn', values };
  }
  throw new ExpectedError(
    `--selector ${JSON.stringify(whole)}: expected app=web, app!=web, app in (a,b), app or !app`,
    2,
  );
}
