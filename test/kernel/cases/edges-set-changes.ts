import type { Flow } from '../bench.js';
import { several, to } from './battery.js';
import { IN, OUT, THROUGH, type KernelCase } from './case.js';

/** What rules of iptables do to sets while the packet passes, and what later rules of the same packet find there. */
const SETS = `create one hash:ip
add one 10.1.0.5
add one 10.244.1.1
create none hash:ip
create pair hash:ip,port
add pair 10.244.1.1,tcp:443
create wide hash:net
add wide 10.0.0.0/8
add wide 10.244.1.1
create first hash:ip
add first 10.244.1.1
create second hash:ip
add second 10.244.1.1
create both list:set
add both first
add both second
create timed hash:ip timeout 100
add timed 10.244.1.1 timeout 100
create marked hash:ip skbinfo
add marked 10.244.1.1 skbmark 0x5/0xff skbprio 1:2 skbqueue 3
add marked 10.1.0.77
`;
const FLOWS: readonly Flow[] = [
  IN,
  { ...IN, src: '10.244.1.2' },
  { ...IN, src: '203.0.113.9' },
  THROUGH,
  ...to(OUT, '10.1.0.77', '10.244.1.1'),
];

/** Each question sets its own bit; the set is new for each packet, so that what one changes is not found by the next. */
function after(name: string, changes: readonly string[], questions: readonly string[]): readonly KernelCase[] {
  return FLOWS.flatMap((flow) =>
    several(name, [flow], {
      ipset: SETS,
      rules4: ['PREROUTING', 'OUTPUT'].flatMap((chain) => [
        ...changes.map((change) => `mangle ${chain} -j SET ${change}`),
        ...questions.map((question, at) => {
          const bit = `0x${(2 ** at).toString(16)}`;
          return `mangle ${chain} -m set ${question} -j MARK --set-xmark ${bit}/${bit}`;
        }),
      ]),
    }),
  );
}

const ASKED = (set: string): readonly string[] => [
  `--match-set ${set} src`,
  `! --match-set ${set} src`,
  `--match-set ${set} dst`,
  `! --match-set ${set} dst`,
];

export const SET_CHANGES: readonly KernelCase[] = [
  ...['src', 'dst'].flatMap((dim) =>
    ['one', 'none', 'wide', 'first', 'both'].flatMap((set) => [
      ...(set === 'both' ? [] : after(`${set}: added ${dim}`, [`--add-set ${set} ${dim}`], ASKED(set))),
      ...after(`${set}: deleted ${dim}`, [`--del-set ${set} ${dim}`], [...ASKED(set), ...ASKED('second')]),
    ]),
  ),
  ...['wide', 'both', 'one'].flatMap((set) =>
    ['src', 'dst'].flatMap((dim) => [
      ...(set === 'both'
        ? []
        : after(
            `${set}: added ${dim}, and asked for alone`,
            [`--add-set ${set} ${dim}`],
            [`--match-set ${set} ${dim}`],
          )),
      ...after(
        `${set}: deleted ${dim}, and asked for alone`,
        [`--del-set ${set} ${dim}`],
        [`--match-set ${set} ${dim}`],
      ),
    ]),
  ),
  ...after('added and deleted again', ['--add-set none src', '--del-set none src'], ASKED('none')),
  ...after('deleted and added again', ['--del-set one src', '--add-set one src'], ASKED('one')),
  ...after('two values added', ['--add-set none src', '--add-set none dst'], ASKED('none')),
  ...after(
    'with options',
    ['--add-set timed dst --exist --timeout 5', '--add-set none src --exist'],
    [...ASKED('timed'), ...ASKED('none')],
  ),
  ...after(
    'a pair deleted',
    ['--del-set pair src,dst'],
    ['--match-set pair src,dst', '! --match-set pair src,dst', '--match-set pair dst,dst', '--match-set pair src,src'],
  ),
  ...several('what a set holds for the packet', FLOWS.slice(0, 4), {
    ipset: SETS,
    rules4: [
      'mangle POSTROUTING -j SET --map-set marked dst --map-prio --map-queue',
      'mangle FORWARD -j SET --map-set marked src --map-prio',
    ],
  }),
  ...several('a mark that a set holds', FLOWS.slice(0, 4), {
    ipset: SETS,
    rules4: ['mangle PREROUTING -j SET --map-set marked src --map-mark'],
  }),
];
