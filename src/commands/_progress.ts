import type { Progress } from '../collect/plan.js';

/** Shows what a collection is doing; `stop()` before anything else is written. */
export interface Shown {
  readonly progress: (progress: Progress) => void;
  readonly stop: () => void;
}

/** How many pieces of work --timings names one by one. */
const NAMED = 12;

/** A spinner on a terminal, nothing but notices elsewhere; with `timings`, the longest pieces of work at the end. */
export async function progressOn(stream: NodeJS.WriteStream, timings: boolean): Promise<Shown> {
  const started = performance.now();
  const elapsed = (): string => seconds(performance.now() - started);
  const spinning = stream.isTTY && process.env['CI'] === undefined && process.env['TERM'] !== 'dumb';
  const spinner = spinning ? (await import('ora')).default({ stream, discardStdin: false }).start('connecting') : null;
  const took: { readonly what: string; readonly milliseconds: number }[] = [];
  return {
    progress: (event) => {
      switch (event.kind) {
        case 'step':
          if (spinner !== null) {
            spinner.text = `${printable(event.what)} (${event.done} of ${event.total}, ${elapsed()})`;
          }
          return;
        case 'took':
          took.push(event);
          return;
        case 'notice':
          spinner?.clear();
          stream.write(`${printable(event.message)}\n`);
          spinner?.render();
      }
    },
    stop: () => {
      spinner?.stop();
      if (timings) stream.write(timingsText(took, elapsed()));
    },
  };
}

function timingsText(took: readonly { readonly what: string; readonly milliseconds: number }[], all: string): string {
  const longest = [...took].sort((a, b) => b.milliseconds - a.milliseconds);
  const lines = longest
    .slice(0, NAMED)
    .map((one) => `${seconds(one.milliseconds).padStart(8)}  ${printable(one.what)}`);
  const more = longest.length - NAMED;
  if (more > 0) lines.push(`          and ${more} shorter pieces of work`);
  return `${lines.join('\n')}\n${all.padStart(8)}  in all (pieces run at the same time)\n`;
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(2)} s`;
}

/** Names come from the cluster: control characters must not reach a terminal. */
function printable(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '\u{fffd}');
}
