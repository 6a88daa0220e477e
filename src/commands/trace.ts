import { Args, Flags } from '@oclif/core';
import { BaseCommand } from './_base.js';
import { debugFlags, sourceFlags } from './_flags.js';
import { PORT } from './_limits.js';

export default class Trace extends BaseCommand {
  static override summary = 'the way that traffic from one workload to another really goes, and what is wrong on it';
  static override description = `\
Reads a running cluster, or a snapshot of one, and follows one connection from FROM to TO: which rule captures it, \
which tunnel, ztunnel, sidecar or waypoint handles it, which endpoint is picked and in which form, where it is \
encrypted, where it is refused. Each step names the line of configuration that decides it.

FROM is a workload (sleep, foo/sleep, sleep.foo, deploy/sleep, pod/sleep-7c), node/NAME (a process on the node, such as \
the kubelet) or external (a client outside the cluster). TO is a workload, Service, host, address or URL, with :port \
where it matters. Where there are several clusters, @CONTEXT behind a name says which one is meant.

Exit status: 0 it is as it should be; 1 it is not delivered, or there is a finding at or above --fail-on; 2 the command \
line or a file given to it is wrong; 3 too little could be read for a verdict; 70 a defect in meshpath; 130 interrupted.`;
  static override examples = [
    '<%= config.bin %> trace sleep httpbin --namespace foo',
    '<%= config.bin %> trace foo/sleep bar/httpbin:8000 --snapshot examples/istio-1.18-node-redirect',
    '<%= config.bin %> trace deploy/web.shop http://api.shop:8080/v1/items --method POST --output json',
    '<%= config.bin %> trace node/worker-1 pod/httpbin-7c.bar --direct --port 80',
  ];
  static override args = {
    from: Args.string({ required: true, description: 'where the traffic starts' }),
    to: Args.string({ required: true, description: 'where it is meant to go' }),
  };
  static override flags = {
    ...sourceFlags,
    ...debugFlags,
    port: Flags.integer({ description: 'port of the Service, or of the Pod with --direct', ...PORT }),
    protocol: Flags.option({
      options: ['http', 'tcp', 'udp'] as const,
      description: 'what the client speaks; default: what the port is declared as',
    })(),
    method: Flags.string({ description: 'HTTP method', default: 'GET' }),
    path: Flags.string({ description: 'HTTP path, with the query' }),
    header: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      description: 'HTTP header, as "Name: value"; may be repeated',
    }),
    direct: Flags.boolean({ description: "call the Pod's own address instead of the Service" }),
    output: Flags.option({
      char: 'o',
      options: ['text', 'json', 'yaml', 'mermaid'] as const,
      default: 'text' as const,
      description: 'format of the answer',
    })(),
    verbose: Flags.boolean({
      char: 'v',
      description: 'every hop: rules, routes, tunnels, the way back, the later packets',
    }),
    'fail-on': Flags.option({
      options: ['error', 'warning', 'info', 'never'] as const,
      default: 'error' as const,
      description: 'least severity of a finding that makes the exit status 1',
    })(),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Trace);
    const { printTrace } = await import('./_trace.js');
    await printTrace({ ...flags, ...args });
  }
}
