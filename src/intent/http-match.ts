import { dig, isObject, objectAt, objectsAt, stringAt } from '../formats/kubernetes-narrow.js';
import type { JsonObject } from '../formats/kubernetes-types.js';
import { and, or, type HttpSeen, type Truth } from './policy-match.js';

/** How well a match of the Gateway API fits: the spec's order of precedence (exact, longer prefix, method, headers). */
interface MatchRank {
  readonly fits: Truth;
  readonly rank: number;
}

function pathOf(http: HttpSeen): string {
  return http.path.split(/[?#]/)[0] ?? '';
}

function headerOf(http: HttpSeen, name: string): string | null {
  const found = Object.entries(http.headers).find(([key]) => key.toLowerCase() === name.toLowerCase());
  return found?.[1] ?? null;
}

/** One entry of `matches` of an HTTPRoute rule. Regular expressions are not evaluated here. */
export function gatewayMatch(match: JsonObject, http: HttpSeen): MatchRank {
  const path = objectAt(match, 'path');
  const type = path === null ? 'PathPrefix' : (stringAt(path, 'type') ?? 'PathPrefix');
  const value = path === null ? '/' : (stringAt(path, 'value') ?? '/');
  const method = stringAt(match, 'method');
  const headers = objectsAt(match, 'headers');
  const fits = and([
    matchPath(type, value, pathOf(http)),
    method === null ? true : method === http.method,
    ...headers.map((header): Truth => {
      if ((stringAt(header, 'type') ?? 'Exact') !== 'Exact') return null;
      return headerOf(http, stringAt(header, 'name') ?? '') === stringAt(header, 'value');
    }),
    objectsAt(match, 'queryParams').length === 0 ? true : null,
  ]);
  const pathRank = type === 'Exact' ? 1e6 : value.length;
  return { fits, rank: pathRank * 1000 + (method === null ? 0 : 500) + headers.length };
}

function matchPath(type: string, value: string, path: string): Truth {
  switch (type) {
    case 'Exact':
      return path === value;
    case 'PathPrefix': {
      // by path elements: /foo takes /foo and /foo/bar, not /foobar
      const prefix = value.replace(/\/+$/, '');
      return path === prefix || path.startsWith(`${prefix}/`) || prefix === '';
    }
    default:
      return null;
  }
}

/** `{exact|prefix|regex: …}` of a VirtualService. */
function stringMatch(match: unknown, value: string | null, ignoreCase = false): Truth {
  if (!isObject(match)) return null;
  const fold = (text: string): string => (ignoreCase ? text.toLowerCase() : text);
  const exact = stringAt(match, 'exact');
  const prefix = stringAt(match, 'prefix');
  if (Object.keys(match).length === 0) return value !== null;
  if (value === null) return false;
  if (exact !== null) return fold(value) === fold(exact);
  if (prefix !== null) return fold(value).startsWith(fold(prefix));
  return null;
}

/** `match` of one http entry of a VirtualService: any of its blocks, all of a block's fields. */
export function virtualServiceMatch(
  entry: JsonObject,
  http: HttpSeen,
  client: {
    readonly namespace: string | null;
    readonly labels: Readonly<Record<string, string>>;
    readonly gateway: string;
  },
  port: number,
): Truth {
  const blocks = objectsAt(entry, 'match');
  if (blocks.length === 0) return true;
  return or(
    blocks.map((block) => {
      const ignoreCase = dig(block, 'ignoreUriCase') === true;
      const tests: Truth[] = [];
      for (const [field, value] of Object.entries(block)) {
        switch (field) {
          case 'name':
          case 'ignoreUriCase':
            break;
          case 'uri':
            tests.push(stringMatch(value, pathOf(http), ignoreCase));
            break;
          case 'method':
            tests.push(stringMatch(value, http.method));
            break;
          case 'authority':
            tests.push(stringMatch(value, http.host));
            break;
          case 'headers':
            for (const [name, test] of Object.entries(isObject(value) ? value : {})) {
              tests.push(stringMatch(test, headerOf(http, name)));
            }
            break;
          case 'port':
            tests.push(value === port);
            break;
          case 'sourceNamespace':
            tests.push(value === client.namespace);
            break;
          case 'sourceLabels':
            tests.push(isObject(value) && Object.entries(value).every(([key, label]) => client.labels[key] === label));
            break;
          case 'gateways':
            tests.push(Array.isArray(value) && value.includes(client.gateway));
            break;
          default:
            tests.push(null);
        }
      }
      return and(tests);
    }),
  );
}
