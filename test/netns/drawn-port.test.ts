import { describe, expect, it } from 'vitest';
import { ask, FILES, OUT } from './two-devices.js';
import type { Files } from './netns-files.js';

/** A source port that nat draws, as rules see it where the packet comes out of lo again. */
const save = (...tables: readonly (readonly [name: string, ...rules: readonly string[]])[]): Files => ({
  'iptables-save.txt': tables
    .map(([name, ...rules]) => `*${name}\n${rules.map((rule) => `-A ${rule}\n`).join('')}COMMIT\n`)
    .join(''),
});

/** How often the match holds for what is sent from the port, by share. */
function shares(match: string, port = 40000, target = 'SNAT --to-source 10.0.0.6 --random'): readonly string[] {
  const files = save(
    ['mangle', `PREROUTING -i lo -p tcp ${match} -j MARK --set-xmark 0x1/0x1`],
    ['nat', `POSTROUTING -p tcp -j ${target}`],
  );
  const over = { ...OUT, src: { ip: '10.0.0.5', port }, dst: { ip: '10.0.0.5', port: 80 } };
  return ask({ ...FILES, ...files }, over)
    .map(({ verdict, mark, probability }) => `${verdict} ${mark} ${probability ?? 'perhaps'}`)
    .sort();
}

const ALWAYS = ['delivered 1 1'];
const NEVER = ['delivered 0 1'];
const QUARTER = ['delivered 0 0.75', 'delivered 1 0.25'];

describe('a source port that nat draws', () => {
  it('is in a range of ports as often as the range has of those from which the kernel draws', () => {
    // 16,128 of 64,512 ports
    expect(shares('-m tcp --sport 1024:17151')).toEqual(QUARTER);
    expect(shares('-m tcp --sport 1:17151')).toEqual(QUARTER);
    expect(shares('-m tcp --sport 49408:65535')).toEqual(QUARTER);
    expect(shares('-m tcp ! --sport 17152:65535')).toEqual(QUARTER);
    expect(shares('-m multiport --sports 1024:17151,22')).toEqual(QUARTER);
    expect(shares('-m multiport --sports 22,1024:17151')).toEqual(QUARTER);
    expect(shares('-m multiport --ports 22,1024:17151')).toEqual(QUARTER);
    expect(shares('-m conntrack --ctrepldstport 1024:17151')).toEqual(QUARTER);
  });

  it('surely is where the range has them all, or none', () => {
    expect(shares('-m tcp --sport 1024:65535')).toEqual(ALWAYS);
    expect(shares('-m tcp --sport 1:65535')).toEqual(ALWAYS);
    expect(shares('-m tcp --sport 1:1023')).toEqual(NEVER);
    expect(shares('-m conntrack --ctrepldstport 1024:65535')).toEqual(ALWAYS);
    expect(shares('-m conntrack --ctrepldstport 40000', 40000, 'SNAT --to-source 10.0.0.6')).toEqual(ALWAYS);
    expect(shares('-m conntrack --ctrepldstport 40001', 40000, 'SNAT --to-source 10.0.0.6')).toEqual(NEVER);
    // the range that the rule names
    expect(shares('-m tcp --sport 2000:2999', 40000, 'SNAT --to-source 10.0.0.6:2000-2999')).toEqual(ALWAYS);
    expect(shares('-m tcp --sport 3000', 40000, 'SNAT --to-source 10.0.0.6:2000-2999')).toEqual(NEVER);
  });

  it.each([
    [1, '1:511', '512:65535'],
    [511, '1:511', '512:65535'],
    [512, '600:1023', '1:599'],
    [1023, '600:1023', '1024:65535'],
    [1024, '1024:65535', '1:1023'],
  ])('is of the same kind as port %s', (port, alike, others) => {
    expect(shares(`-m tcp --sport ${alike}`, port)).toEqual(ALWAYS);
    expect(shares(`-m tcp --sport ${others}`, port)).toEqual(NEVER);
  });
});
