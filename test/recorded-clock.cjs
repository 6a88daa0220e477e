// The time of the recording that the cluster is made of: its certificates end a day later. Loaded first, by the tests and by the
// programs that they start; MESHPATH_TEST_CLOCK: what the clock shows then. It goes on from there.
const RealDate = Date;
const skew = RealDate.parse(process.env.MESHPATH_TEST_CLOCK ?? '') - RealDate.now();
if (Number.isNaN(skew)) throw new Error('MESHPATH_TEST_CLOCK is not a time');

globalThis.Date = class extends RealDate {
  constructor(...given) {
    if (given.length === 0) super(RealDate.now() + skew);
    else super(...given);
  }

  static now() {
    return RealDate.now() + skew;
  }
};
