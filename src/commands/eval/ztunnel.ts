import { Flags } from '@oclif/core';
import { BaseCommand, writeOut } from '../_base.js';

export default class EvalZtunnel extends BaseCommand {
  static override summary = 'what one ztunnel would do with many connections, from its config_dump alone';
  static override description = `\
Reads questions as JSON, one a line, and answers each with the distinct ways it can end and their \
probabilities, in the same order. No cluster is needed.

A question: {"id":"1","direction":"outbound","src":"10.244.1.5","dst":"10.96.0.9:8000"}. Direction is outbound, inbound \
(a CONNECT on 15008: add "identity", the peer's SPIFFE identity; dst is the authority) or inbound-plaintext (15006).

Exit status: 0 all questions were read; 2 one of them was not, or a file is wrong.`;
  static override examples = [
    '<%= config.bin %> eval ztunnel --dump config_dump.json --connections questions.jsonl',
    'kubectl exec … | <%= config.bin %> eval ztunnel --dump config_dump.json --connections -',
  ];
  static override flags = {
    dump: Flags.string({ required: true, description: "ztunnel's config_dump (1.18 on)", helpValue: '<file>' }),
    connections: Flags.string({
      required: true,
      description: 'questions, one a line; - is standard input',
      helpValue: '<file>',
    }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(EvalZtunnel);
    const { answerAll, readInput } = await import('./_lines.js');
    const { loadZtunnel } = await import('../../ztunnel/load.js');
    const { answerQuestion } = await import('../../ztunnel/eval.js');
    const { escapeTerminal } = await import('../../render/escape.js');
    const ztunnel = loadZtunnel(flags.dump, readInput(flags.dump));
    for (const { fact, reason } of ztunnel.problems) this.warn(escapeTerminal(`${fact}: ${reason}`));
    const { malformed } = await answerAll(
      readInput(flags.connections),
      (line) => answerQuestion(ztunnel, line),
      writeOut,
    );
    if (malformed || !ztunnel.usable) process.exitCode = 2;
  }
}
