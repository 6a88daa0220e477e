import type { Random } from './random.js';

/** What rules and packets are drawn from: the addresses of the bench, and some of others. */
export const ADDRESSES = [
  '10.244.1.5',
  '10.1.0.5',
  '172.18.0.3',
  '127.0.0.1',
  '10.244.1.1',
  '10.244.2.9',
  '10.1.0.77',
  '10.96.0.10',
  '203.0.113.5',
  '8.8.8.8',
];
export const ADDRESSES6 = [
  'fd00:244:1::5',
  'fd00:1::5',
  '::1',
  'fd00:244:1::1',
  'fd00:1::77',
  '2001:db8::1',
  'fd00:96::a',
];
export const PREFIXES = ['10.244.0.0/16', '10.0.0.0/8', '172.18.0.0/16', '127.0.0.0/8', '10.96.0.0/12', '0.0.0.0/1'];
export const PREFIXES6 = ['fd00:244::/32', 'fd00::/8', '2001:db8::/32', 'fd00:1::/64'];
export const PORTS = [22, 53, 80, 443, 5353, 7070, 8080, 9053, 9090, 15001, 15006, 15008, 15053];
export const MARKS = ['0x1', '0x2', '0x111', '0x539', '0x4000', '0x8000', '0xdead0000'];
export const MASKS = ['0xffffffff', '0xfff', '0x1', '0x4000', '0xffff0000', '0xf0f'];
export const UIDS = [0, 33, 1000, 1337];

export function negate(random: Random): string {
  return random.chance(0.25) ? '! ' : '';
}

export function address(random: Random, family: 4 | 6): string {
  const single = family === 4 ? ADDRESSES : ADDRESSES6;
  const many = family === 4 ? PREFIXES : PREFIXES6;
  return random.chance(0.4) ? random.pick(many) : random.pick(single);
}

export function marked(random: Random): string {
  return random.chance(0.5) ? random.pick(MARKS) : `${random.pick(MARKS)}/${random.pick(MASKS)}`;
}
