import { describe, expect, it } from 'vitest';
import { answerLine } from '../../src/netns/eval.js';
import { ask, FILES } from './one-device.js';
import { namespaceOf } from './vectors.js';

describe('the questions of eval', () => {
  const netns = namespaceOf(FILES);
  it.each([
    ['{', 'not JSON'],
    ['[]', 'not a JSON object'],
    ['{"id":1}', 'direction'],
    ['{"id":1,"direction":"in"}', 'iif'],
    ['{"id":1,"direction":"out","protocol":"gre"}', 'protocol'],
    ['{"id":1,"direction":"out","protocol":"tcp","src":"10.0.0.5","dst":"1.2.3.4:5"}', 'src'],
    ['{"id":1,"direction":"out","protocol":"tcp","src":"10.0.0.5:1","dst":"1.2.3.4:99999"}', 'dst'],
    ['{"id":1,"direction":"out","protocol":"icmp","src":"10.0.0.5","dst":"8.8.8.8","mark":"x"}', 'mark'],
    ['{"id":1,"direction":"out","protocol":"icmp","src":"10.0.0.5","dst":"8.8.8.8","uid":-1}', 'uid'],
    ['{"id":1,"direction":"out","protocol":"icmp","src":"10.0.0.5","dst":"8.8.8.8","ctstate":"OLD"}', 'ctstate'],
    ['{"id":1,"direction":"out","protocol":"icmp","src":"10.0.0.5","dst":"8.8.8.8","tcpFlags":"XYZ"}', 'tcpFlags'],
  ])('%s: an error about %s', (line, about) => {
    const answer = answerLine(netns, line);
    expect('error' in answer ? answer.error : '').toContain(about);
  });

  it.each(['10.0.0', 'fe80::x', '10.0.0.9'])('what comes from %s to IPv6 is no packet', (ip) => {
    const [outcome] = ask({}, { src: { ip, port: 1 }, dst: { ip: 'fd00::5', port: 80 } });
    expect(outcome).toMatchObject({ verdict: 'unknown', unknowns: [{ reason: 'not two addresses of one family' }] });
  });

  it('icmp has addresses without ports', () => {
    const answer = answerLine(netns, '{"id":1,"direction":"out","protocol":"icmp","src":"10.0.0.5","dst":"8.8.8.8"}');
    expect(answer).toMatchObject({
      id: 1,
      outcomes: [{ verdict: 'sent', src: '10.0.0.5', dst: '8.8.8.8', oif: 'eth0' }],
    });
  });
});
