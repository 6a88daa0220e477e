import { Flags } from '@oclif/core';
import { BaseCommand } from './_base.js';
import { clusterFlags, debugFlags } from './_flags.js';

export default class Capture extends BaseCommand {
  static override summary = 'a snapshot of a cluster, to be read later with --snapshot';
  static override description = `\
Reads lists, rules of network namespaces and dumps of ztunnels and Envoys into a folder or a .tar.gz that every command \
answers from as it answers from the cluster. Secrets, tokens and private keys are taken out before anything is written. \
What could not be read is named in snapshot.json.

Exit status: 0 written (what could not be read is said); 2 the command line is wrong; 3 the cluster cannot be read; 130 \
interrupted (what was read by then is written).`;
  static override examples = [
    '<%= config.bin %> capture --for "sleep httpbin" --output-file sleep-httpbin.tar.gz',
    '<%= config.bin %> capture --namespace bar --output-file bar-snapshot',
    '<%= config.bin %> capture --all-namespaces --output-file cluster.tar.gz --pseudonymize',
  ];
  static override flags = {
    for: Flags.string({
      description: 'only what `trace FROM TO` needs',
      helpValue: '"FROM TO"',
      exclusive: ['all-namespaces'],
    }),
    'all-namespaces': Flags.boolean({ char: 'A', description: 'all namespaces', exclusive: ['for', 'namespace'] }),
    'output-file': Flags.string({
      description:
        'folder, or file that ends in .tar.gz or .tgz; default: meshpath-CONTEXT.tar.gz, meshpath-snapshot.tar.gz without --context',
      helpValue: '<path>',
    }),
    pseudonymize: Flags.boolean({
      description: 'put other names and addresses in the place of the real ones, everywhere the same',
    }),
    ...clusterFlags,
    namespace: Flags.string({
      char: 'n',
      description: 'namespace to capture; with --for: of names that carry none',
      helpGroup: 'CLUSTER',
    }),
    'allow-debug-container': { ...debugFlags['allow-debug-container'], dependsOn: ['for'] },
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(Capture);
    const { runCapture } = await import('./_capture.js');
    await runCapture(flags);
  }
}
