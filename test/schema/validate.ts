import { readFileSync } from 'node:fs';
import { Ajv, type ValidateFunction } from 'ajv';

export type SchemaName = 'trace' | 'eval-netns' | 'eval-ztunnel' | 'eval-envoy';

/** The published schema, which lets fields be added, or one that knows no other fields than the published ones. */
export function validatorOf(name: SchemaName, unknownFields: 'allowed' | 'refused'): ValidateFunction {
  const text = readFileSync(new URL(`../../schema/${name}.schema.json`, import.meta.url), 'utf8');
  const schema: unknown = JSON.parse(text);
  const ajv = new Ajv({ strict: true, allowUnionTypes: true, allErrors: true });
  return ajv.compile(unknownFields === 'allowed' ? asSchema(schema) : asSchema(closed(schema)));
}

function asSchema(value: unknown): object {
  if (typeof value !== 'object' || value === null) throw new Error('a schema is an object');
  return value;
}

function closed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(closed);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, field]) => [key, closed(field)] as const);
  const copy: Record<string, unknown> = Object.fromEntries(entries);
  if ('properties' in copy && !('additionalProperties' in copy)) copy['additionalProperties'] = false;
  return copy;
}

/** The errors of a value, one a line; empty where it fits. */
export function errorsOf(validate: ValidateFunction, value: unknown): readonly string[] {
  if (validate(value) === true) return [];
  return (validate.errors ?? []).map(
    (error) => `${error.instancePath} ${error.message ?? ''} ${JSON.stringify(error.params)}`,
  );
}
