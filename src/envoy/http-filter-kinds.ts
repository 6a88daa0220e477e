import { boolean, number, object, objectOrNull, string, strings, type JsonObject } from '../formats/envoy-json.js';
import { ending } from './connection.js';
import { reply, routeName, unsure, type FilterRun } from './filter-run.js';
import { fork, step, weigh, withUnknown, type Path } from './path.js';
import { percent, shareOf } from './percent.js';
import { isDoubt, type Runtime } from './runtime.js';
import { isPreflight } from './stream.js';
import { headerMatchers, headerValue, objects, stringMatcher } from './strings.js';
import { any, type Doubt } from './tri.js';

/** Share of requests as a fraction of 1; a doubt where a runtime layer that is not in the dump may change it. */
function share(runtime: Runtime, key: string | null, value: JsonObject): number | Doubt {
  const found = runtime.percent(key, percent(value));
  return 'fact' in found ? found : shareOf(found);
}

/** Goes on with the share, or in both ways where it is not known. */
function draws(found: number | Doubt, path: Path, hit: (path: Path) => void, miss: (path: Path) => void): void {
  if (typeof found !== 'number') return fork(path, found, 'unknown', hit, miss);
  if (found > 0) hit(weigh(path, found));
  if (found < 1) miss(weigh(path, 1 - found));
}

const ABORT_HEADERS = ['x-envoy-fault-abort-request', 'x-envoy-fault-abort-request-percentage'] as const;

/** Status of an injected abort: fixed, or as the request asks for it; null where it asks for none. */
function abortStatus(abort: JsonObject, stream: FilterRun['stream']): number | null {
  if (abort['header_abort'] === undefined) return number(abort['http_status']) ?? 200;
  const asked = stream.headers.get('x-envoy-fault-abort-request');
  const status = asked === null || !/^\d+$/.test(asked) ? 0 : Number(asked);
  return status >= 200 && status < 600 ? status : null;
}

/** `percentage`, which a header of the request may lower where the fault comes from headers. */
function abortShare(config: JsonObject, abort: JsonObject, { stream }: FilterRun): number | Doubt {
  const written = object(abort['percentage']);
  const key = string(config['abort_percent_runtime']) ?? '';
  const found = share(stream.engine.runtime, key === '' ? 'fault.http.abort.abort_percent' : key, written);
  const asked = stream.headers.get('x-envoy-fault-abort-request-percentage');
  if (abort['header_abort'] === undefined || asked === null || !/^\d+$/.test(asked) || typeof found !== 'number')
    return found;
  return Math.min(found, Number(asked) / percent(written).denominator);
}

/** envoy.extensions.filters.http.fault: an abort as a share of the requests, a delay as a remark. */
export function fault(run: FilterRun, config: JsonObject): void {
  const { stream, path, end, next } = run;
  const cluster = string(config['upstream_cluster']);
  const target = stream.cluster?.name ?? string(object(stream.route?.value['route'])['cluster']);
  if (cluster !== null && cluster !== '' && cluster !== target) return next(stream, path);
  const applies = headerMatchers(objects(config['headers']))(stream.headers);
  if (applies === false) return next(stream, path);
  const nodes = strings(config['downstream_nodes']);
  const asked = [
    ...(nodes.length > 0 ? ['x-envoy-downstream-service-node'] : []),
    ...(object(config['abort'])['header_abort'] === undefined ? [] : ABORT_HEADERS),
  ];
  const open = asked.map((name) => stream.headers.open(name)).find((item) => item !== null && item.present !== false);
  if (open != null) return unsure(run, `its headers are not known: ${open.reason}`);
  const node = stream.headers.get('x-envoy-downstream-service-node');
  if (nodes.length > 0 && (node === null || !nodes.includes(node))) return next(stream, path);
  const { runtime } = stream.engine;
  const delay = objectOrNull(config['delay']);
  const share100 = delay === null ? 0 : 100 * shareOf(percent(object(delay['percentage'])));
  const told = `fault: ${string(delay?.['fixed_delay']) ?? 'some'} delay for ${share100} %`;
  const delayed = delay === null ? path : step(path, told, run.evidence);
  const abort = objectOrNull(config['abort']);
  const status = abort === null ? null : abortStatus(abort, stream);
  if (abort === null || status === null) return next(stream, delayed);
  const key = string(config['abort_http_status_runtime']) ?? '';
  const overridden = runtime.value(key === '' ? 'fault.http.abort.http_status' : key);
  const aborted = (branch: Path): void => {
    if (!isDoubt(overridden)) {
      return end(reply(run, 'respond', number(overridden ?? undefined) || status, 'fault_filter_abort'), branch);
    }
    const { fact, reason } = overridden;
    const unknown = { route: routeName(stream), reason: `fault_filter_abort with ${status}, if ${fact}` };
    end(ending(stream.connection, 'unknown', run.evidence, unknown), withUnknown(branch, fact, reason));
  };
  const inject = (branch: Path): void =>
    draws(abortShare(config, abort, run), branch, aborted, (no) => next(stream, no));
  if (applies === true) return inject(delayed);
  fork(delayed, applies, 'unknown', inject, (no) => next(stream, no));
}

/** Preflight requests of a route with a CORS policy are answered here. */
export function cors(run: FilterRun, own: JsonObject | null): void {
  const { stream, path, end, next } = run;
  const policy =
    own ??
    objectOrNull(object(stream.route?.value['route'])['cors']) ??
    objectOrNull(stream.virtualHost?.value['cors']);
  const preflight = policy === null ? false : isPreflight(stream);
  const origin = headerValue(stream.headers, 'origin');
  if (policy === null || preflight === false || origin === null || origin === '') return next(stream, path);
  if (preflight !== true || typeof origin !== 'string') return unsure(run, 'a preflight request is answered here');
  const enabled = objectOrNull(policy['filter_enabled']);
  const part =
    enabled === null
      ? 1
      : share(stream.engine.runtime, string(enabled['runtime_key']), object(enabled['default_value']));
  if (part === 0) return next(stream, path);
  const allowed = any(objects(policy['allow_origin_string_match']), (item) => stringMatcher(item)(origin));
  const answer = (branch: Path): void =>
    draws(
      part,
      branch,
      (yes) => end(reply(run, 'respond', 200, 'cors_response'), yes),
      (no) => next(stream, no),
    );
  if (allowed === true) return answer(path);
  if (allowed === false) {
    // 1.31 on: preflights that match no origin are answered too unless they are to be forwarded
    const forward = policy['forward_not_matching_preflights'];
    return forward !== undefined && boolean(forward) === false ? answer(path) : next(stream, path);
  }
  fork(path, allowed, 'unknown', answer, (no) => next(stream, no));
}
