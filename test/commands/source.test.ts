import { describe, expect, it } from 'vitest';
import { runCapture } from '../../src/commands/_capture.js';
import { withCluster } from '../../src/commands/_source.js';
import { printTrace } from '../../src/commands/_trace.js';

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

describe('words that can mean nothing', () => {
  // would be said first if anything were read
  const flags = { kubeconfig: '/nowhere', 'request-timeout': '15s', concurrency: 8 };
  const trace = { ...flags, method: 'GET', output: 'json', 'fail-on': 'error' } as const;

  it.each([
    ['a b', 'httpbin', /^FROM: "a b": a name with a blank in it$/],
    ['foo/a..b', 'httpbin', /^FROM: "foo\/a..b": "a..b" is no name that Kubernetes allows$/],
    ['sleep', 'bar/httpbin:99999', /^TO: "bar\/httpbin:99999": "99999" is no port$/],
    ['sleep', 'bar/../httpbin', /^TO: /],
  ])('trace %j %j: exit status 2, and nothing is asked of a cluster', async (from, to, message) => {
    await expect(printTrace({ ...trace, from, to })).rejects.toMatchObject({
      exit: 2,
      message: expect.stringMatching(message) as string,
    });
  });

  it('capture likewise', async () => {
    await expect(runCapture({ ...flags, for: 'sleep a..b' })).rejects.toMatchObject({
      exit: 2,
      message: 'TO: "a..b": "a..b" is no name that Kubernetes allows',
    });
  });

  it('a context behind an @ is told by the kubeconfig', async () => {
    await expect(printTrace({ ...trace, from: 'sleep@east', to: 'x' })).rejects.toThrow('no kubeconfig at /nowhere');
  });
});
