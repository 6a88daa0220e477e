import type { Evidence } from '../formats/evidence.js';
import { ending, type End, type Ending } from './connection.js';
import type { Filter } from './listener.js';
import { fork, type Path } from './path.js';
import type { Stream } from './stream.js';
import { doubt, type Doubt } from './tri.js';
import { localStatus } from './upstream-end.js';

/** One HTTP filter at work on one branch. */
export interface FilterRun {
  readonly filter: Filter;
  readonly stream: Stream;
  readonly path: Path;
  readonly evidence: Evidence;
  readonly end: End;
  /** Hands the request to the filter after this one. */
  readonly next: (stream: Stream, path: Path) => void;
}

/** What a local reply looks like: HTTP status, with the route that was matched. */
export function reply(
  run: FilterRun,
  action: 'deny' | 'respond' | 'error',
  status: number,
  reason: string,
  fields: Partial<Ending> = {},
): Ending {
  const { stream } = run;
  return ending(stream.connection, action, run.evidence, {
    route: routeName(stream),
    status: localStatus(status, stream.grpc),
    reason,
    ...fields,
  });
}

/** `<virtual host>/<route>`; null where the route has no name. */
export function routeName(stream: Stream): string | null {
  const name = stream.route?.name ?? null;
  return name === null || stream.virtualHost === null ? name : `${stream.virtualHost.name}/${name}`;
}

/** A filter that may end the request, or change it, in a way that is not known. */
export function unsure(run: FilterRun, reason: string): void {
  const { filter, stream, path, end, next } = run;
  const question = doubt(`HTTP filter ${filter.name} lets the request pass as it is`, reason);
  fork(
    path,
    question,
    'unknown',
    (yes) => next(stream, yes),
    (no) => end(ending(stream.connection, 'unknown', run.evidence, { route: routeName(stream), reason }), no),
  );
}

/** `clear_route_cache`: the route is chosen again by what the filter wrote; a `question` whether it is the same one. */
export function chosenAgain(run: FilterRun, stream: Stream, path: Path, question: Doubt): void {
  const { end, next } = run;
  fork(
    path,
    question,
    'unknown',
    (yes) => next(stream, yes),
    (no) => end(ending(stream.connection, 'unknown', run.evidence, { reason: question.reason }), no),
  );
}
