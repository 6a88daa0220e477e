import { expect, it } from 'vitest';
import { withCluster } from '../../src/commands/_source.js';

it.each(['a b', 'a/../b', '..', 'Foo', ''])(
  '-n %j is no namespace: nothing is asked of a cluster',
  async (namespace) => {
    let begun = false;
    const run = withCluster({ namespace, 'request-timeout': '15s', concurrency: 8 }, () => {
      begun = true;
      return Promise.resolve(null);
    });
    await expect(run).rejects.toMatchObject({ message: expect.stringContaining('no name of a namespace') as string });
    expect(begun).toBe(false);
  },
);
