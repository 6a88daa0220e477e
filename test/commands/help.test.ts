import { describe, expect, it } from 'vitest';
import Capture from '../../src/commands/capture.js';
import EvalEnvoy from '../../src/commands/eval/envoy.js';
import EvalNetns from '../../src/commands/eval/netns.js';
import EvalZtunnel from '../../src/commands/eval/ztunnel.js';
import Ls from '../../src/commands/ls.js';
import Rbac from '../../src/commands/rbac.js';
import Trace from '../../src/commands/trace.js';

const COMMANDS = { Capture, EvalEnvoy, EvalNetns, EvalZtunnel, Ls, Rbac, Trace };

describe('the help', () => {
  it.each(Object.entries(COMMANDS))(
    'of %s is broken where the terminal ends, not where the source does',
    (_, command) => {
      expect(command.description).not.toMatch(/[^\n]\n(?!\n)/);
      expect(command.description.startsWith('\n')).toBe(false);
    },
  );

  it('offers a debug container only where there is a path', () => {
    const offering = Object.entries(COMMANDS).flatMap(([name, { flags }]) =>
      Object.hasOwn(flags, 'allow-debug-container') ? name : [],
    );
    expect(offering).toEqual(['Capture', 'Trace']);
    expect(Capture.flags['allow-debug-container'].dependsOn).toEqual(['for']);
  });
});
