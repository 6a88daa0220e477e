import { Flags } from '@oclif/core';
import { BaseCommand } from './_base.js';
import { sourceFlags } from './_flags.js';

export default class Ls extends BaseCommand {
  static override summary = 'what is in the mesh, and whether it really is';
  static override description = `\
Lists pods with their mode, node and waypoint, whose proxy should take their traffic by labels, annotations and release \
(EXPECTED), and whose does by the rules, sets and ztunnels of the data plane (FOUND).

ztunnel: enrolled in ambient; sidecar: its own Envoy; itself: it is a proxy; none: nobody's; partly: rules and proxy do \
not agree, so that traffic gets lost; unknown: -o json says which fact is missing.

Exit status: 0 listed, whatever was found; 2 the command line is wrong; 3 the pods could not be read; 130 interrupted.`;
  static override examples = [
    '<%= config.bin %> ls --namespace bar',
    '<%= config.bin %> ls --all-namespaces --output wide',
    '<%= config.bin %> ls --namespace bar --selector app=httpbin',
    '<%= config.bin %> ls --snapshot mesh.tar.gz --output json',
  ];
  static override flags = {
    ...sourceFlags,
    namespace: Flags.string({ char: 'n', description: 'only this namespace', helpGroup: 'CLUSTER' }),
    'all-namespaces': Flags.boolean({
      char: 'A',
      description: 'all namespaces, as without --namespace',
      exclusive: ['namespace'],
    }),
    selector: Flags.string({
      char: 'l',
      description: 'only pods with these labels: app=web,tier in (a,b),!old',
      helpValue: '<labels>',
    }),
    output: Flags.option({
      char: 'o',
      options: ['text', 'wide', 'json', 'yaml'] as const,
      default: 'text' as const,
      description: 'format of the list',
    })(),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(Ls);
    const { printWorkloads } = await import('./_ls.js');
    await printWorkloads(flags);
  }
}
