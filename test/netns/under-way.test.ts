import { describe, expect, it } from 'vitest';
import { answerLine } from '../../src/netns/eval.js';
import { DEFAULT_RULES, deviceSettings } from './netns-files.js';
import { namespaceOf } from './vectors.js';

/** Questions about packets of a connection that is under way: the listeners do not say whose it is. */
const FILES = {
  'ip-rule.json': DEFAULT_RULES,
  'ip-route.json': '[{"type":"local","dst":"10.0.0.5","dev":"eth0","table":"local","protocol":"kernel"}]',
  'ip-address.json':
    '[{"ifindex":2,"ifname":"eth0","flags":["UP"],"addr_info":[{"family":"inet","local":"10.0.0.5","prefixlen":24,"scope":"global"}]}]',
  'sysctl.txt': deviceSettings(['all', 'eth0'], { ignore_routes_with_linkdown: 0 }),
  'sockets.txt': 'LISTEN 0 128 10.0.0.5:80 0.0.0.0:*\nLISTEN 0 128 0.0.0.0:15006 0.0.0.0:*\n',
  'nft-ruleset.json': '{"nftables":[]}',
};

function verdicts(rule: string, ctstate: string, dst: string, ctdir = 'ORIGINAL', raw = ''): readonly string[] {
  const table = (name: string, rules: string): string => `*${name}\n:PREROUTING ACCEPT\n${rules}COMMIT\n`;
  const netns = namespaceOf({ ...FILES, 'iptables-save.txt': table('raw', raw) + table('mangle', `${rule}\n`) });
  const question = { id: 1, direction: 'in', iif: 'eth0', protocol: 'tcp', src: '10.0.0.9:40000', dst, ctstate, ctdir };
  const answer = answerLine(netns, JSON.stringify(question));
  return 'error' in answer ? [answer.error] : answer.outcomes.map(({ verdict }) => verdict).sort();
}

describe('-m socket', () => {
  const plain = '-A PREROUTING -p tcp -m socket -j DROP';

  it('of a first packet the listeners tell', () => {
    expect(verdicts(plain, 'NEW', '10.0.0.5:80')).toEqual(['dropped']);
    expect(verdicts(plain, 'NEW', '10.0.0.5:15006')).toEqual(['delivered']);
  });

  it('of a later one a connected socket may be the owner', () => {
    expect(verdicts(plain, 'ESTABLISHED', '10.0.0.5:15006')).toEqual(['delivered', 'dropped']);
  });

  it('its listener matches whoever owns it', () => {
    expect(verdicts(plain, 'ESTABLISHED', '10.0.0.5:80')).toEqual(['dropped']);
  });
});

describe('zones', () => {
  const fresh = '-A PREROUTING -m conntrack --ctstate NEW -j DROP';

  it('a reply is looked up in the zone of replies, another packet in the other one', () => {
    const original = '-A PREROUTING -j CT --zone-orig 5\n';
    expect(verdicts(fresh, 'ESTABLISHED', '10.0.0.5:15006', 'REPLY', original)).toEqual(['delivered']);
    expect(verdicts(fresh, 'ESTABLISHED', '10.0.0.5:15006', 'ORIGINAL', original)).toEqual(['dropped']);
  });
});
