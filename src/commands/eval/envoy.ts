import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Flags } from '@oclif/core';
import { BaseCommand, writeOut } from '../_base.js';
import { ExpectedError } from '../_errors.js';

export default class EvalEnvoy extends BaseCommand {
  static override summary = 'what one Envoy would do with many connections and requests, from its config_dump alone';
  static override description = `\
Reads questions as JSON, one a line, and answers each with the distinct ways it can end and their \
probabilities, in the same order. No cluster is needed.

A question: {"id":"1","listener":"0.0.0.0:15001","src":"10.244.1.5:40000","dst":"10.96.0.9:8000","tls":null, \
"http":{"method":"GET","authority":"httpbin.bar:8000","path":"/get","headers":{}}}. "listener" is the address that the \
connection was delivered to, "dst" its original destination; "tls" is {"sni","alpn","peer"} where it is TLS, "http" null \
for plain TCP. HBONE: "tls" is the outer TLS, add "connect": {"authority","headers"} and "innerTls".

Take the dump with ?include_eds. Health comes from clusters.json (/clusters?format=json), by itself where that file \
stands next to the dump.

Exit status: 0 all questions were read; 2 one of them was not, or a file is wrong.`;
  static override examples = [
    '<%= config.bin %> eval envoy --dump config_dump.json --requests questions.jsonl',
    'kubectl exec … | <%= config.bin %> eval envoy --dump config_dump.json --requests -',
  ];
  static override flags = {
    dump: Flags.string({ required: true, description: '/config_dump?include_eds of an Envoy', helpValue: '<file>' }),
    clusters: Flags.string({ description: '/clusters?format=json of the same Envoy', helpValue: '<file>' }),
    requests: Flags.string({
      required: true,
      description: 'questions, one a line; - is standard input',
      helpValue: '<file>',
    }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(EvalEnvoy);
    const { answerAll, readInput } = await import('./_lines.js');
    const { loadEnvoy } = await import('../../envoy/load.js');
    const { answerQuestion } = await import('../../envoy/eval.js');
    const { escapeTerminal } = await import('../../render/escape.js');
    const beside = join(dirname(flags.dump), 'clusters.json');
    const health = flags.clusters ?? (existsSync(beside) ? beside : null);
    const clusters = health === null ? null : { file: health, text: readInput(health) };
    const envoy = loadEnvoy(flags.dump, readInput(flags.dump), clusters);
    for (const { fact, reason } of envoy.problems) this.warn(escapeTerminal(`${fact}: ${reason}`));
    if (!envoy.usable) throw new ExpectedError(`${flags.dump} is no Envoy config_dump`, 2);
    const { malformed } = await answerAll(readInput(flags.requests), (line) => answerQuestion(envoy, line), writeOut);
    if (malformed) process.exitCode = 2;
  }
}
