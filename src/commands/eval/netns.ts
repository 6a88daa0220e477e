import { Flags } from '@oclif/core';
import { BaseCommand, writeOut } from '../_base.js';

export default class EvalNetns extends BaseCommand {
  static override summary = 'what one network namespace would do with many packets, from its files alone';
  static override description = `\
Reads questions as JSON, one a line, and answers each with the distinct ways it can end and their \
probabilities, in the same order. No cluster is needed.

The folder holds what the tools print: iptables-save.txt, nft-ruleset.json, ipset-save.txt, ip-rule.json, ip-route.json, \
ip-address.json, sysctl.txt, sockets.txt, and their IPv6 and legacy kin. A missing file makes unknown what depends on it, and a damaged one is not used at all.

Three files may be missing because there is nothing to print, and are then taken for that: nft-ruleset.json (unless \
iptables-save.txt says that only nft can print a table), iptables-legacy-save.txt with its IPv6 kin, and tc.txt. One \
folder alone does not tell whether they were forgotten; trace sees whether other namespaces of the snapshot have \
nft's list, and what snapshot.json names as not read. Nor can it be seen that whole lines are missing from sockets.txt, \
ipset-save.txt or the rules of a chain.

A question: {"id":"1","direction":"in","iif":"eth0","protocol":"tcp","src":"10.244.1.9:40000","dst":"10.244.1.5:80"}. \
Direction "out" is sent by a local process of "uid" and "gid". Optional: mark, connmark, ctstate, ctdir, tcpFlags. \
An "icmp" packet is an echo request, unless icmpType and icmpCode say otherwise; an ICMP error also "quotes" the packet that \
it tells of: {"protocol":"udp","src":"10.244.1.5:40000","dst":"10.96.0.10:53"}.

Exit status: 0 all questions were read; 2 one of them was not, or a file is wrong.`;
  static override examples = [
    '<%= config.bin %> eval netns --netns snapshot/nodes/worker-1/netns --flows questions.jsonl',
    'echo \'{"id":1,…}\' | <%= config.bin %> eval netns --netns pods/foo/sleep-1/netns --flows -',
  ];
  static override flags = {
    netns: Flags.string({ required: true, description: 'a netns/ folder of a snapshot', helpValue: '<folder>' }),
    flows: Flags.string({
      required: true,
      description: 'questions, one a line; - is standard input',
      helpValue: '<file>',
    }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(EvalNetns);
    const { answerAll, readInput } = await import('./_lines.js');
    const { loadNetworkNamespace } = await import('../../netns/load.js');
    const { answerQuestion } = await import('../../netns/eval.js');
    const { openFolder } = await import('./_folder.js');
    const netns = loadNetworkNamespace('', openFolder(flags.netns));
    const { malformed } = await answerAll(readInput(flags.flows), (line) => answerQuestion(netns, line), writeOut);
    if (malformed) process.exitCode = 2;
  }
}
