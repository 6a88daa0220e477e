import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { KubeconfigError } from '../../src/collect/errors.js';
import { connect, type Connection, type ConnectOptions } from '../../src/collect/kubeconfig.js';

let folder: string;
const KUBECONFIG = process.env['KUBECONFIG'];
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'meshpath-kubeconfig-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(() => {
  if (KUBECONFIG === undefined) delete process.env['KUBECONFIG'];
  else process.env['KUBECONFIG'] = KUBECONFIG;
});

function file(name: string, text: string): string {
  const target = path.join(folder, name);
  mkdirSync(path.dirname(target), { recursive: true });
  writeFileSync(target, text);
  return target;
}

function config(user: string, options: { readonly context?: string; readonly extra?: string } = {}): string {
  return `
apiVersion: v1
kind: Config
current-context: ${options.context ?? 'dev'}
clusters:
- name: c
  cluster:
    server: https://api.example:6443/k8s/clusters/c-1
    certificate-authority-data: ${Buffer.from('CA').toString('base64')}
${options.extra ?? ''}
contexts:
- name: dev
  context: {cluster: c, user: u, namespace: team}
users:
- name: u
  user: ${user}
`;
}

const NEVER = new AbortController().signal;

const NONE: ConnectOptions = { kubeconfig: null, context: null, as: null, asGroups: [], tell: () => undefined };

function open(kubeconfig: string, more: Partial<ConnectOptions> = {}): Promise<Connection> {
  return connect({ ...NONE, kubeconfig, ...more });
}

describe('a kubeconfig', () => {
  it('names server, namespace and token', async () => {
    const connection = await open(file('token', config('{token: abc}')));
    expect(connection.server.href).toBe('https://api.example:6443/k8s/clusters/c-1');
    expect(connection.namespace).toBe('team');
    expect((await connection.options(NEVER)).headers).toEqual({ Authorization: 'Bearer abc' });
  });

  it('names files beside it, which are read again each time', async () => {
    const token = file('sub/token', 'first\n');
    const connection = await open(file('sub/config', config('{tokenFile: token}')));
    expect((await connection.options(NEVER)).headers).toEqual({ Authorization: 'Bearer first' });
    writeFileSync(token, 'second');
    expect((await connection.options(NEVER)).headers).toEqual({ Authorization: 'Bearer second' });
  });

  it('may hold a user and a password; impersonation goes with every request', async () => {
    const connection = await open(file('basic', config('{username: a, password: b}')), {
      as: 'x',
      asGroups: ['g', 'h'],
    });
    expect((await connection.options(NEVER)).headers).toEqual({
      Authorization: `Basic ${Buffer.from('a:b').toString('base64')}`,
      'Impersonate-User': 'x',
      'Impersonate-Group': ['g', 'h'],
    });
  });

  it('may name a plugin, which is told of the cluster and asked again when its token expires', async () => {
    const plugin = file(
      'plugin.sh',
      `#!/bin/sh
echo run >> ${folder}/runs
echo "$KUBERNETES_EXEC_INFO" > ${folder}/info
printf '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{"token":"t-%s","expirationTimestamp":"2000-01-01T00:00:00Z"}}' "$MODE"
`,
    );
    chmodSync(plugin, 0o755);
    const user = `{exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plugin.sh, provideClusterInfo: true, env: [{name: MODE, value: m}]}}`;
    const connection = await open(file('exec', config(user)));
    expect((await connection.options(NEVER)).headers).toEqual({ Authorization: 'Bearer t-m' });
    await connection.options(NEVER);
    expect(readFileSync(`${folder}/runs`, 'utf8').split('\n').length).toBeGreaterThan(2);
    expect(JSON.parse(readFileSync(`${folder}/info`, 'utf8'))).toMatchObject({
      kind: 'ExecCredential',
      spec: { interactive: false, cluster: { server: 'https://api.example:6443/k8s/clusters/c-1' } },
    });
  });

  it('may be several files, of which the first that sets a name wins', async () => {
    const a = file('a', config('{token: from-a}'));
    const b = file('b', config('{token: from-b}', { context: 'other' }).replaceAll('name: dev', 'name: other'));
    process.env['KUBECONFIG'] = [a, path.join(folder, 'not-there'), b].join(path.delimiter);
    expect((await (await connect(NONE)).options(NEVER)).headers).toEqual({ Authorization: 'Bearer from-a' });
    expect((await connect({ ...NONE, context: 'other' })).context).toBe('other');
  });

  it.each([
    ['is not there', () => open(path.join(folder, 'nowhere')), /no kubeconfig at/],
    ['is no YAML', () => open(file('bad', 'a: [b')), /cannot be read/],
    ['has no current context', () => open(file('nc', config('{}', { context: '""' }))), /no current-context.*\(dev\)/],
    ['lacks the context', () => open(file('ok', config('{}')), { context: 'prod' }), /no context "prod".*dev/],
    [
      'names a plugin that is not there',
      async () =>
        (await open(file('np', config('{exec: {command: no-such-plugin, installHint: brew install it}}')))).options(
          NEVER,
        ),
      /no-such-plugin.*brew install it/,
    ],
    ['groups without a user', () => open(file('g', config('{}')), { asGroups: ['g'] }), /--as-group needs --as/],
  ])('that %s is an error of the command line', async (_what, run, message) => {
    const error = await run().then(
      () => null,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(KubeconfigError);
    expect(String(error)).toMatch(message);
  });

  it('whose certificates cannot be read is an error of the command line', async () => {
    const broken = config('{client-certificate-data: aGVsbG8=, client-key-data: aGVsbG8=}');
    await expect(open(file('broken', broken))).rejects.toThrow(
      /context dev: its certificates or its key cannot be used/,
    );
  });

  it('whose plugin wants a terminal is an error of the command line', async () => {
    const connection = await open(file('always', config('{exec: {command: sh, interactiveMode: Always}}')));
    await expect(connection.options(NEVER)).rejects.toThrow(KubeconfigError);
  });

  it('whose plugin fails is no error of the command line: who it speaks for has to log in', async () => {
    const user = '{exec: {command: sh, args: ["-c", "echo the session has expired >&2; exit 255"]}}';
    const connection = await open(file('expired', config(user)));
    await expect(connection.options(NEVER)).rejects.toMatchObject({
      kind: 'forbidden',
      message: 'the credential plugin sh failed (255): the session has expired',
    });
  });

  const V1 = 'client.authentication.k8s.io/v1';
  it.each([
    [{ status: {} }, 'gave neither a token nor a certificate with its key'],
    [{ status: { token: '' } }, 'gave neither a token'],
    [{ status: { token: 7 } }, 'gave neither a token'],
    [{ status: { clientCertificateData: 's3cret' } }, 'gave a certificate without its key'],
    [{ status: { token: 's3cret', clientKeyData: 's3cret' } }, 'a key alone'],
    [{ kind: 'Status', status: { token: 's3cret' } }, 'printed no ExecCredential'],
    [{ apiVersion: `${V1}beta1`, status: { token: 's3cret' } }, `printed no ExecCredential of ${V1}`],
    [{}, 'printed no ExecCredential'],
  ])('whose plugin answers %j is refused: nothing is asked as nobody', async (answer, message) => {
    const printed = JSON.stringify({ kind: 'ExecCredential', apiVersion: V1, ...answer });
    const user = JSON.stringify({ exec: { apiVersion: V1, command: 'echo', args: [printed] } });
    const asked = (await open(file('nobody', config(user)))).options(NEVER);
    await expect(asked).rejects.toThrow(KubeconfigError);
    await expect(asked).rejects.toThrow(message);
    await expect(asked).rejects.not.toThrow('s3cret');
  });

  it.each([
    ['args: ["-c", 5]', 'exec.args[1] of its user is no text'],
    ['args: "-c"', 'exec.args of its user is no list'],
    ['env: [{name: A, value: 5}]', 'exec.env[0].value of its user is no text'],
    ['env: [{value: a}]', 'exec.env[0] of its user has no name'],
    ['env: {A: b}', 'exec.env of its user is no list'],
  ])('whose plugin has %s is refused, as kubectl does', async (field, message) => {
    const asked = (await open(file('field', config(`{exec: {command: sh, ${field}}}`)))).options(NEVER);
    await expect(asked).rejects.toThrow(KubeconfigError);
    await expect(asked).rejects.toThrow(`context dev: ${message}`);
  });

  it('whose plugin waits for a person passes on what it says', async () => {
    const said: string[] = [];
    const flag = path.join(folder, 'typed');
    const printed = JSON.stringify({ kind: 'ExecCredential', apiVersion: V1, status: { token: 't' } });
    const script = `echo 'open https://login' >&2; printf 'code: ' >&2; while [ ! -e ${flag} ]; do sleep 0.1; done; echo '${printed}'`;
    const user = JSON.stringify({ exec: { apiVersion: V1, command: 'sh', args: ['-c', script] } });
    const tell = (message: string): void => {
      said.push(message);
      writeFileSync(flag, '');
    };
    const connection = await open(file('prompt', config(user)), { tell });
    expect((await connection.options(NEVER)).headers).toEqual({ Authorization: 'Bearer t' });
    expect(said.join('')).toBe('open https://login\ncode: ');
  });

  /** A plugin that waits for a browser which nobody opens, and what it has started; their process ids are in `pids`. */
  function waiting(name: string): { readonly kubeconfig: string; readonly pids: () => readonly number[] } {
    const pids = path.join(folder, `${name}.pids`);
    // a shell that ignores the polite signal, and a child of its own
    const script = `trap "" TERM; sleep 300 & echo $$ $! > ${pids}; wait; wait`;
    const kubeconfig = file(name, config(`{exec: {command: sh, args: ["-c", ${JSON.stringify(script)}]}}`));
    const read = (): readonly number[] =>
      existsSync(pids) ? (readFileSync(pids, 'utf8').match(/\d+/g) ?? []).map(Number) : [];
    return { kubeconfig, pids: read };
  }
  const isAlive = (pid: number): boolean => {
    try {
      // a process that nobody has waited for yet is gone all the same
      return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
    } catch {
      return false;
    }
  };

  it.skipIf(process.platform !== 'linux')(
    'whose plugin waits for a person is stopped with all that it started',
    async () => {
      const { kubeconfig, pids } = waiting('waiting');
      const connection = await open(kubeconfig);
      const abort = new AbortController();
      const asked = connection.options(abort.signal);
      // nobody else's end stops it
      const other = connection.options(NEVER);
      const ended = asked.catch((error: unknown) => error);
      await expect.poll(() => pids().length, { timeout: 20_000 }).toBe(2);
      const first = pids();
      expect(first.every(isAlive)).toBe(true);
      abort.abort();
      expect(await ended).toMatchObject({ kind: 'cancelled' });
      await expect.poll(() => first.some(isAlive), { timeout: 20_000 }).toBe(false);
      // it is asked again for the other
      await expect.poll(() => pids().length === 2 && pids()[0] !== first[0], { timeout: 20_000 }).toBe(true);
      for (const pid of pids()) process.kill(pid, 'SIGKILL');
      await expect(other).rejects.toMatchObject({ kind: 'forbidden', message: expect.stringContaining('(SIGKILL)') });
    },
  );

  it('may impersonate by itself; flags win', async () => {
    const user = '{token: t, as: low, as-uid: u1, as-groups: [g], as-user-extra: {a/b: [x, y]}}';
    const name = file('as', config(user));
    expect((await (await open(name)).options(NEVER)).headers).toEqual({
      Authorization: 'Bearer t',
      'Impersonate-User': 'low',
      'Impersonate-Uid': 'u1',
      'Impersonate-Group': ['g'],
      'Impersonate-Extra-a%2Fb': ['x', 'y'],
    });
    const flagged = await (await open(name, { as: 'me', asGroups: ['h'] })).options(NEVER);
    expect(flagged.headers).toMatchObject({ 'Impersonate-User': 'me', 'Impersonate-Group': ['h'] });
  });

  it.each([
    ['groups and no user', config('{as-groups: [g]}'), {}, /no "as"/],
    ['a user that is not there', config('{}').replace('user: u,', 'user: gone,'), {}, /its user "gone" is not in/],
    ['no key', config('{client-certificate-data: aGVsbG8=}'), {}, /client-certificate without a client-key/],
    ['a line break', config('{}'), { as: 'a\nb' }, /line break/],
    ['a bad proxy', config('{}', { extra: '    proxy-url: "no url"' }), {}, /proxy-url is no URL/],
    ['a bad server', config('{}').replace('https://api.example', 'https://me:s3cret@a b'), {}, /"https:..\*\*\*@a b/],
  ])('that has %s is an error of the command line', async (what, text, more, message) => {
    const opened = open(file(what.replaceAll(' ', '-'), text), more);
    await expect(opened).rejects.toThrow(KubeconfigError);
    await expect(opened).rejects.toThrow(message);
  });

  it('with a proxy has an agent that knows it, and names it without its password', async () => {
    const extra = '    proxy-url: http://me:s3cret@proxy.example:3128';
    const connection = await open(file('proxy', config('{token: abc}', { extra })));
    expect(connection.proxy).toBe('proxy.example:3128');
    const { agent, headers } = await connection.options(NEVER);
    expect(headers).toEqual({ Authorization: 'Bearer abc' });
    expect(agent).toMatchObject({ proxy: { hostname: 'proxy.example', port: '3128' } });
  });

  it.each([
    [{ token: 'ab\ncd' }, 'a line break'],
    [{ token: 'ab\u20accd' }, 'a letter that no header can carry'],
    [{ tokenFile: 'split' }, 'a line break'],
  ])('whose user is %j is refused before anything is sent', async (user, what) => {
    file('split', 'ab\ncd\n');
    const connection = await open(file('split-token', config(JSON.stringify(user))));
    const asked = connection.options(NEVER);
    await expect(asked).rejects.toThrow(KubeconfigError);
    await expect(asked).rejects.toThrow(`the token of context dev holds ${what}`);
    await expect(asked).rejects.not.toThrow('cd');
  });
});
