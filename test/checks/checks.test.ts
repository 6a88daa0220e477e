import { describe, expect, test } from 'vitest';
import { CHECKS } from '../../src/checks/registry.js';
import { readStory, runOne } from './story.js';

/** Each check fires in its one story and is silent in the other, and reads what it declares, and only that. */
describe.each(CHECKS)('$code $title', (check) => {
  const asked = new Set<string>();
  /** What is read to know of which pods a trace is: not the check's affair. */
  const before = new Set<string>();

  const run = async (name: 'fires' | 'quiet'): Promise<Awaited<ReturnType<typeof runOne>>> => {
    const story = readStory(check.code, name);
    for (const file of (await runOne(null, story)).asked) before.add(file);
    const result = await runOne(check, story);
    for (const file of result.asked) asked.add(file);
    return result;
  };

  test('fires', async () => {
    const { report } = await run('fires');
    const wanted = readStory(check.code, 'fires').finding;
    if (wanted === undefined) throw new Error('fires.json names no finding');
    const found = report.findings.map((finding) => ({
      subject: `${finding.subject.kind} ${finding.subject.namespace === null ? '' : `${finding.subject.namespace}/`}${finding.subject.name}`,
      severity: finding.severity,
      message: finding.message,
    }));
    const fitting = found.filter((one) => one.subject.startsWith(wanted.subject) && one.message.includes(wanted.says));
    expect(fitting, JSON.stringify(found, null, 2)).not.toEqual([]);
    expect(fitting[0]?.severity).toBe(wanted.severity);
    for (const finding of report.findings) {
      expect(finding.evidence.length, 'a finding shows its evidence').toBeGreaterThan(0);
      expect(finding.fix).not.toBe('');
      expect(finding.docs).toBe(`docs/codes/${check.code}.md`);
    }
  });

  test('does not fire', async () => {
    const { report } = await run('quiet');
    expect(report.findings).toEqual([]);
  });

  test('reads the files that it declares', () => {
    const declared = [...check.inputs, ...(check.mayRead ?? [])].map(patternOf);
    const undeclared = [...asked].filter(
      (file) => !before.has(file) && !declared.some((pattern) => pattern.test(file)),
    );
    expect(undeclared, 'files that it reads and does not declare').toEqual([]);
    const unread = check.inputs.filter((input) => ![...asked].some((file) => patternOf(input).test(file)));
    expect(unread, 'inputs that it declares and does not read').toEqual([]);
  });
});

/** `pods/<any>/<any>/netns/sockets.txt` for stars in place of names. */
function patternOf(input: string): RegExp {
  const parts = input.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('[^/]+')}$`);
}
