import type { Progress } from '../collect/plan.js';
import { escapeTerminal } from '../render/escape.js';
import type { Ora } from './_spinner.js';

/** Shows what a collection is doing; `stop()` before anything else is written. */
export interface Shown {
  readonly progress: (progress: Progress) => void;
  readonly stop: () => void;
}

/** How many pieces of work --timings names one by one. */
const NAMED = 12;

/** A person who waits no longer than this needs no spinner. */
const SPINNER_AFTER = 150;

/**
 * A spinner on a terminal, nothing but notices elsewhere; with `timings`, the longest pieces of work at the end. The stream
 * is not touched at once: opening it would hold up the first request.
 */
export function progressOn(streamOf: () => NodeJS.WriteStream, timings: boolean): Shown {
  const opened: NodeJS.WriteStream[] = [];
  const output = (): NodeJS.WriteStream => {
    const [held] = opened;
    if (held !== undefined) return held;
    // Nobody reads it any more (EPIPE, EIO of a terminal that is gone): no reason to die and leave a debug pod behind.
    const stream = streamOf().on('error', () => undefined);
    opened.push(stream);
    return stream;
  };
  // since the program was started: that is what a person waits for
  const elapsed = (): string => seconds(process.uptime() * 1000);
  const took: { readonly what: string; readonly milliseconds: number }[] = [];
  let spinner: Ora | null = null;
  let text = 'connecting';
  const start = async (): Promise<void> => {
    const stream = output();
    // a terminal without columns has no line to draw on (ora never ends to break it)
    if (!stream.isTTY || stream.columns === 0 || process.env['CI'] !== undefined || process.env['TERM'] === 'dumb')
      return;
    const { ora } = await import('./_spinner.js');
    if (waiting.stopped) return;
    spinner = ora({ stream, discardStdin: false }).start(text);
  };
  const write = (line: string): void => {
    spinner?.clear();
    output().write(`${escapeTerminal(line)}\n`);
    spinner?.render();
  };
  const waiting = { stopped: false, timer: setTimeout(() => void start(), SPINNER_AFTER) };
  return {
    progress: (event) => {
      switch (event.kind) {
        case 'step':
          text = `${escapeTerminal(event.what)} (${event.done} of ${event.total}, ${elapsed()})`;
          if (spinner !== null) spinner.text = text;
          return;
        case 'took':
          took.push(event);
          return;
        case 'said':
          // a log has no person who could answer
          if (output().isTTY) for (const line of event.message.trimEnd().split('\n')) write(line.trimEnd());
          return;
        case 'notice':
          write(event.message);
      }
    },
    stop: () => {
      waiting.stopped = true;
      clearTimeout(waiting.timer);
      spinner?.stop();
      if (timings) output().write(timingsText(took, elapsed()));
    },
  };
}

function timingsText(took: readonly { readonly what: string; readonly milliseconds: number }[], all: string): string {
  const longest = [...took].sort((a, b) => b.milliseconds - a.milliseconds);
  const lines = longest
    .slice(0, NAMED)
    .map((one) => `${seconds(one.milliseconds).padStart(8)}  ${escapeTerminal(one.what)}`);
  const more = longest.length - NAMED;
  if (more > 0) lines.push(`          and ${more} shorter pieces of work`);
  return `${lines.join('\n')}\n${all.padStart(8)}  in all (pieces run at the same time)\n`;
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(2)} s`;
}
