import { Flags } from '@oclif/core';
import { BaseCommand, writeOut } from './_base.js';

export default class Rbac extends BaseCommand {
  static override summary = 'the smallest ClusterRole for what you want to be told';
  static override description = `\
Prints a ClusterRole as YAML. view: lists and logs only, the path as it should be. portforward: also what ztunnels and \
Envoys hold. exec: also the rules, sets and routes of network namespaces, the path as it really is. Nothing in it writes: \
exec and port-forward are used to read.`;
  static override examples = [
    '<%= config.bin %> rbac --tier exec | kubectl apply -f -',
    '<%= config.bin %> rbac --tier view --name mesh-reader',
  ];
  static override flags = {
    tier: Flags.option({
      options: ['view', 'portforward', 'exec'] as const,
      default: 'exec' as const,
      description: 'how deep the answer goes',
    })(),
    name: Flags.string({ description: 'name of the ClusterRole; default: meshpath-TIER' }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(Rbac);
    const { clusterRole } = await import('../collect/rbac.js');
    await writeOut(clusterRole(flags.tier, flags.name ?? `meshpath-${flags.tier}`));
  }
}
