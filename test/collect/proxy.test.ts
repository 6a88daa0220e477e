import { describe, expect, it } from 'vitest';
import { KubeconfigError } from '../../src/collect/errors.js';
import { checkedProxy, proxyFromEnvironment } from '../../src/collect/proxy.js';

const PROXY = 'http://proxy.corp:3128/';

describe('the proxy of the environment, as Go reads it', () => {
  it.each([
    ['https://10.1.2.3:6443', '', PROXY],
    ['https://10.1.2.3:6443', '10.0.0.0/8', null],
    ['https://11.1.2.3:6443', '10.0.0.0/8', PROXY],
    ['https://[fd00::5]:6443', 'fd00::/8', null],
    ['https://[fd00::5]:6443', '[fd00::5]:6443', null],
    ['https://api.corp:6443', 'api.corp:6443', null],
    ['https://api.corp:6443', 'api.corp:443', PROXY],
    ['https://api.corp', 'api.corp:443', null],
    ['https://api.corp', 'x, CORP', null],
    ['https://corp', '.corp', PROXY],
    ['https://api.corp', '.corp', null],
    ['https://api.corp', '*.corp', null],
    ['https://apicorp', 'corp', PROXY],
    ['https://api.corp', '*', null],
    ['https://127.0.0.1:6443', '', null],
    ['https://127.example', '', PROXY],
    ['http://api.corp', '', null],
  ])('%s, NO_PROXY=%s: %s', (server, none, expected) => {
    expect(proxyFromEnvironment(new URL(server), { HTTPS_PROXY: PROXY, NO_PROXY: none })?.url ?? null).toBe(expected);
  });

  it.each([
    ['http://10.1.2.3:8080', { HTTP_PROXY: PROXY }, PROXY],
    ['http://10.1.2.3:8080', { http_proxy: PROXY }, PROXY],
    ['http://10.1.2.3:8080', { HTTP_PROXY: PROXY, NO_PROXY: '10.0.0.0/8' }, null],
    ['http://api.corp', { HTTP_PROXY: PROXY, NO_PROXY: 'api.corp:80' }, null],
    ['http://api.corp', { HTTP_PROXY: PROXY, NO_PROXY: 'api.corp:443' }, PROXY],
    ['http://localhost:8080', { HTTP_PROXY: PROXY }, null],
    ['https://api.corp', { HTTP_PROXY: PROXY }, null],
    ['https://api.corp', { HTTPS_PROXY: 'socks5h://proxy.corp' }, 'socks5h://proxy.corp'],
    ['https://api.corp', { HTTPS_PROXY: 'SOCKS5://proxy.corp' }, 'socks5://proxy.corp'],
  ])('%s, %j: %s', (server, env, expected) => {
    expect(proxyFromEnvironment(new URL(server), env)?.url ?? null).toBe(expected);
  });

  it('needs no scheme; it is named without its password, by the variable that holds it', () => {
    const env = { https_proxy: 'me:s3cret@proxy.corp:3128' };
    expect(proxyFromEnvironment(new URL('https://api.corp'), env)).toEqual({
      url: 'http://me:s3cret@proxy.corp:3128/',
      said: 'proxy.corp:3128 of https_proxy',
    });
  });
});

it.each(['://x', 'no url s3cret', 'ftp://a:s3cret@b', 'socks5h://s3cret'])('no proxy: %s', (text) => {
  const attempt = (): unknown => checkedProxy(text);
  expect(attempt).toThrow(KubeconfigError);
  expect(attempt).not.toThrow(/s3cret/);
});
