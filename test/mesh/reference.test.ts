import { describe, expect, it } from 'vitest';
import { parseReference, type Reading } from '../../src/mesh/reference.js';

function say(reading: Reading): string {
  if (reading.as === 'host') return `host ${reading.host}`;
  return `${reading.kind ?? 'any'} ${reading.namespace ?? '*'}/${reading.name}`;
}

/** What is typed · what it can mean · port · path. */
const NAMED: readonly (readonly [string, readonly string[], (number | string | null)?, (string | null)?])[] = [
  ['sleep', ['any */sleep']],
  ['sleep:80', ['any */sleep'], 80],
  ['sleep:http', ['any */sleep'], 'http'],
  ['foo/sleep', ['any foo/sleep']],
  ['foo/sleep:8000', ['any foo/sleep'], 8000],
  ['deploy/sleep', ['deployment */sleep', 'any deploy/sleep']],
  ['deployment/sleep', ['deployment */sleep', 'any deployment/sleep']],
  ['Deploy/sleep', ['deployment */sleep', 'any Deploy/sleep']],
  ['deploy/sleep.foo', ['deployment */sleep.foo', 'deployment foo/sleep', 'any deploy/sleep.foo']],
  ['foo/deploy/sleep', ['deployment foo/sleep']],
  ['deploy/foo/sleep', ['deployment foo/sleep']],
  ['pod/sleep-7c', ['pod */sleep-7c', 'any pod/sleep-7c']],
  ['po/sleep-7c.foo', ['pod */sleep-7c.foo', 'pod foo/sleep-7c', 'any po/sleep-7c.foo']],
  ['sts/db', ['statefulSet */db', 'any sts/db']],
  ['ds/agent', ['daemonSet */agent', 'any ds/agent']],
  ['rs/web-7d', ['replicaSet */web-7d', 'any rs/web-7d']],
  ['job/once', ['job */once', 'any job/once']],
  ['svc/httpbin:8000', ['service */httpbin', 'any svc/httpbin'], 8000],
  ['svc/httpbin.bar:http', ['service */httpbin.bar', 'service bar/httpbin', 'any svc/httpbin.bar'], 'http'],
  ['bar/svc/httpbin:8000', ['service bar/httpbin'], 8000],
  ['se/api.ext', ['serviceEntry */api.ext', 'serviceEntry ext/api', 'any se/api.ext']],
  ['gateway/main', ['gateway */main', 'any gateway/main']],
  ['sleep.foo', ['any */sleep.foo', 'host sleep.foo', 'any foo/sleep']],
  [
    'httpbin.bar.svc.cluster.local:8000',
    ['any */httpbin.bar.svc.cluster.local', 'host httpbin.bar.svc.cluster.local', 'any local/httpbin.bar.svc.cluster'],
    8000,
  ],
  ['http://httpbin.bar/get?x=1#y', ['any */httpbin.bar', 'host httpbin.bar', 'any bar/httpbin'], null, '/get?x=1'],
  ['http://httpbin:8000', ['any */httpbin'], 8000, '/'],
  ['https://example.com/a', ['any */example.com', 'host example.com', 'any com/example'], null, '/a'],
  ['tcp://db.data:5432', ['any */db.data', 'host db.data', 'any data/db'], 5432, null],
  ['http://user:secret@httpbin:8000/', ['any */httpbin'], 8000, '/'],
  ['httpbin.bar:8000/get', ['any */httpbin.bar', 'host httpbin.bar', 'any bar/httpbin'], 8000, '/get'],
  ['svc/httpbin:8000/a/b', ['service */httpbin', 'any svc/httpbin'], 8000, '/a/b'],
];

describe('what a person may type', () => {
  it.each(NAMED.map(([text, readings, port, path]) => ({ text, readings, port: port ?? null, path: path ?? null })))(
    '$text',
    ({ text, readings, port, path }) => {
      const reference = parseReference(text);
      expect(reference).toMatchObject({ form: 'named', port, path });
      expect(reference.form === 'named' && reference.readings.map(say)).toEqual(readings);
    },
  );

  it.each([
    ['10.0.0.1', '10.0.0.1', null, null],
    ['10.0.0.1:80', '10.0.0.1', 80, null],
    ['10.0.0.1:80/get', '10.0.0.1', 80, '/get'],
    ['fd00::1', 'fd00::1', null, null],
    ['FD00:0::0001', 'fd00::1', null, null],
    ['[fd00::1]:80', 'fd00::1', 80, null],
    ['http://10.0.0.1/x', '10.0.0.1', null, '/x'],
    ['http://[fd00::1]:8080/x', 'fd00::1', 8080, '/x'],
    ['https://10.0.0.1', '10.0.0.1', null, '/'],
  ])('%s is an address', (text, ip, port, path) => {
    expect(parseReference(text)).toMatchObject({ form: 'ip', ip, port, path });
  });

  it('node/… and external are places of their own', () => {
    expect(parseReference('node/n1')).toEqual({ form: 'node', name: 'n1', port: null });
    expect(parseReference('node/n1.example.com')).toEqual({ form: 'node', name: 'n1.example.com', port: null });
    expect(parseReference('node/n1:10250')).toEqual({ form: 'node', name: 'n1', port: 10250 });
    expect(parseReference('external')).toEqual({ form: 'external', name: 'external' });
    expect(parseReference('external/outside')).toEqual({ form: 'external', name: 'outside' });
  });

  it.each([
    '',
    ' ',
    'a b',
    'a/b/c/d',
    'a/b/c',
    '-a',
    'a:',
    'a:0',
    'a:70000',
    'a:b:c',
    '10.0.0.1:x y',
    '[fd00::g]:80',
    '1.2.3.4:99999',
    'a/',
    '/a',
    'foo/a..b',
    `foo/${'a'.repeat(254)}`,
    'http://',
  ])('"%s" is refused with a reason', (text) => {
    const reference = parseReference(text);
    expect(reference.form).toBe('invalid');
    expect(reference.form === 'invalid' && reference.reason).not.toBe('');
  });
});
