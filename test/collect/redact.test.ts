import { describe, expect, it } from 'vitest';
import { redactObject, REDACTED } from '../../src/snapshot/redact.js';
import { redactJson, redactLines } from '../../src/snapshot/redact-stream.js';

const KEY = '-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----\n';
const JWT = `eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.${'x'.repeat(40)}`;

async function through(
  text: string,
  size: number,
  pipe: (chunks: AsyncIterable<Buffer>) => AsyncGenerator<Buffer>,
): Promise<string> {
  async function* pieces(): AsyncGenerator<Buffer> {
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.subarray(at, at + size));
  }
  const out: Buffer[] = [];
  for await (const chunk of pipe(pieces())) out.push(chunk);
  return Buffer.concat(out).toString();
}

const DUMP = {
  configs: [
    {
      tls_certificate: {
        certificate_chain: { inline_bytes: 'cHVibGlj' },
        private_key: { inline_bytes: 'c2VjcmV0LWtleQ==' },
      },
      validation_context: { trusted_ca: { inline_string: 'public "quoted" \\ text' } },
      generic_secret: { secret: { inline_string: 'swordfish-1' } },
      session_ticket_keys: { keys: [{ inline_bytes: 'c3dvcmRmaXNoLTI=' }] },
      direct_response: { status: 200, body: { inline_string: 'hello' } },
      request_headers_to_add: [
        { header: { key: 'authorization', value: 'swordfish-3' } },
        { header: { key: 'x-team', value: 'blue' } },
      ],
      address: 'https://user:swordfish-4@host/path',
      filter: { token_secret: { name: 'oauth' }, password: 'swordfish-5', lua: { inline_code: 'return 1' } },
    },
  ],
};

describe('redaction of dumps', () => {
  it.each([1, 7, 64, 100_000])('takes secrets out and nothing else, in chunks of %i bytes', async (size) => {
    const out = JSON.parse(await through(JSON.stringify(DUMP, null, 1), size, redactJson)) as typeof DUMP;
    const expected = structuredClone(DUMP);
    const [config] = expected.configs;
    if (config === undefined) throw new Error('no config');
    config.tls_certificate.private_key.inline_bytes = REDACTED;
    config.generic_secret.secret.inline_string = REDACTED;
    config.session_ticket_keys.keys = [{ inline_bytes: REDACTED }];
    config.request_headers_to_add[0] = { header: { key: 'authorization', value: REDACTED } };
    config.address = `https://${REDACTED}@host/path`;
    config.filter.password = REDACTED;
    expect(out).toEqual(expected);
  });

  it('leaves every other byte as it was', async () => {
    const text = '{ "a" : [1, 2.50, "x\\u00e9\\"y"],\n\t"inline_string":\t"kept?" , "b":null }\n';
    const out = await through(text, 5, redactJson);
    expect(out).toBe(text.replace('"kept?"', JSON.stringify(REDACTED)));
  });

  it('a dump that is cut off loses the string that was cut', async () => {
    expect(await through('{"password":"sword', 4, redactJson)).toBe('{"password":');
  });

  it('20 MB take seconds', async () => {
    const one = `${JSON.stringify(DUMP.configs[0])},`;
    const block = Buffer.from(one.repeat(500));
    const blocks = Math.ceil((20 * 1024 * 1024) / block.length);
    async function* large(): AsyncGenerator<Buffer> {
      yield Buffer.from('[');
      for (let i = 0; i < blocks; i++) yield await Promise.resolve(block);
      yield Buffer.from('1]');
    }
    const started = Date.now();
    let bytes = 0;
    for await (const chunk of redactJson(large())) bytes += chunk.length;
    expect(bytes).toBeGreaterThan(20 * 1024 * 1024);
    expect(Date.now() - started).toBeLessThan(20_000);
  });
});

describe('redaction of API objects', () => {
  it('keeps environment variables that decide behaviour, and no others', () => {
    const pod = {
      kind: 'Pod',
      metadata: {
        name: 'web',
        managedFields: [{}],
        annotations: { 'kubectl.kubernetes.io/last-applied-configuration': '{"x":1}', 'sidecar.istio.io/status': '{}' },
      },
      spec: {
        imagePullSecrets: [{ name: 'registry' }],
        containers: [
          {
            name: 'app',
            args: ['--listen=:80', '--db-password=swordfish', '--verbose'],
            env: [
              { name: 'ISTIO_META_ENABLE_HBONE', value: 'true' },
              { name: 'DB_URL', value: 'postgres://u:swordfish@db/x' },
              { name: 'ENABLE_TOKEN', value: 'swordfish' },
              { name: 'ISTIO_METAJSON_ANNOTATIONS', value: '{"a":"swordfish"}' },
              {
                name: 'PROXY_CONFIG',
                value: '{"tracing":{"lightstep":{"accessToken":"swordfish"}},"concurrency":1}\n',
              },
              { name: 'CA_TRUSTED_NODE_ACCOUNTS', value: 'istio-system/ztunnel' },
              { name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
            ],
          },
        ],
        volumes: [{ name: 's', secret: { secretName: 'tls-cert' } }],
      },
    };
    const out = redactObject(pod);
    expect(JSON.stringify(out)).not.toContain('swordfish');
    expect(out.metadata).toEqual({ name: 'web', annotations: { 'sidecar.istio.io/status': '{}' } });
    expect(out.spec).not.toHaveProperty('imagePullSecrets');
    expect(out.spec.containers[0]?.env[0]).toEqual({ name: 'ISTIO_META_ENABLE_HBONE', value: 'true' });
    expect(out.spec.containers[0]?.env.find((e) => e.name === 'CA_TRUSTED_NODE_ACCOUNTS')?.value).toBe(
      'istio-system/ztunnel',
    );
    expect(out.spec.containers[0]?.env.find((e) => e.name === 'PROXY_CONFIG')?.value).toContain('"concurrency":1');
    expect(out.spec.containers[0]?.args).toEqual(['--listen=:80', `--db-password=${REDACTED}`, '--verbose']);
    expect(out.spec.volumes).toEqual(pod.spec.volumes);
  });

  it('data of a Secret, keys and tokens are gone wherever they stand', () => {
    const text = JSON.stringify(
      redactObject({
        items: [
          { kind: 'Secret', data: { key: 'c3dvcmRmaXNo' }, stringData: { a: 'swordfish' } },
          {
            kind: 'ConfigMap',
            data: { 'tls.key': KEY, config: `token: ${JWT}`, b64: Buffer.from(KEY).toString('base64') },
          },
        ],
      }),
    );
    for (const secret of [
      'swordfish',
      'c3dvcmRmaXNo',
      'MIIEow',
      JWT.slice(21),
      Buffer.from('MIIEow').toString('base64').slice(0, 6),
    ]) {
      expect(text).not.toContain(secret);
    }
  });
});

describe('what the issue names, in the places where it hides', () => {
  it.each([
    ['a ConfigMap that holds a document', { data: { mesh: 'tracing:\n  lightstep:\n    accessToken: swordfish\n' } }],
    ['the same as JSON', { data: { values: '{\n  "accessToken": "swordfish"\n}' } }],
    ['an argument behind its option', { args: ['--password', 'swordfish'] }],
    ['a shell command', { command: ['sh', '-c', 'export DB_PASSWORD=swordfish; run'] }],
    ['a URL', { url: 'https://host/path?a=1&token=swordfish&b=2' }],
    ['keys of api_key_auth', { credentials: [{ key: 'swordfish', client: 'a' }] }],
    ['a header with dashes', { headers: { set: { 'x-api-key': 'swordfish' } } }],
    ['a header by name', { headers: [{ name: 'X-Api-Key', value: 'swordfish' }] }],
    ['a key file of Google', { service_account_jwt_access: { json_key: 'swordfish' } }],
    ['cloud credentials', { inline_credential: { access_key_id: 'swordfish', secret_access_key: 'swordfish' } }],
    ['users of basic_auth', { users: { inline_string: 'me:{SHA}swordfish' } }],
    ['pull secrets', { imagePullSecrets: [{ name: 'swordfish' }] }],
    ['an environment value', { env: [{ name: 'ANY', value: 'swordfish' }] }],
    ['the annotation of kubectl', { annotations: { 'kubectl.kubernetes.io/last-applied-configuration': 'swordfish' } }],
  ])('%s', async (_, value) => {
    expect(JSON.stringify(redactObject(value))).not.toContain('swordfish');
    // an argument is known by the one before it, and dumps hold none; pull secrets are in API objects only
    if ('args' in value || 'imagePullSecrets' in value || 'env' in value) return;
    expect(await through(JSON.stringify(value), 11, redactJson)).not.toContain('swordfish');
  });

  it('what only looks like it stays', () => {
    const value = {
      args: ['--token-file', '/var/run/token', '--token=$(TOKEN)', '--key', 'app'],
      text: 'max_tokens: 100\nsecretName: tls\ntokenPath: /var/run/x',
      env: [{ name: 'PILOT_ENABLE_AMBIENT', value: 'true' }],
      tls: { credentialName: 'gateway-cert', secretName: 'tls' },
    };
    expect(redactObject(value)).toEqual(value);
  });
});

describe('what is no dump', () => {
  it.each([
    ['levels without end', '['.repeat(2000)],
    ['a string without end', `"${'x'.repeat(33 * 1024 * 1024)}`],
  ])('%s', async (_, text) => {
    await expect(through(text, 1024 * 1024, redactJson)).rejects.toThrow(/no dump/);
  });
});

describe('redaction of logs', () => {
  it.each([3, 40, 100_000])('a private key that goes over lines and chunks of %i bytes', async (size) => {
    const out = await through(`before\n${KEY}after\n`, size, redactLines);
    expect(out).toBe(`before\n${REDACTED}\nafter\n`);
  });

  it('takes credentials out of lines, across chunks', async () => {
    const out = await through(`GET /\nAuthorization: Bearer abcdefghijklmnop\n${JWT}\nplain`, 9, redactLines);
    expect(out).toBe(`GET /\nAuthorization: ${REDACTED}\n${REDACTED}\nplain`);
  });

  it.each([65_536, 5_000_000])(
    'a line longer than 1 MiB is left out, its end too; chunks of %i bytes',
    async (size) => {
      const long = `${'x'.repeat(1_300_000)} token=hunter2-hunter2`;
      expect(await through(`before\n${long}\nafter\n`, 65_536, redactLines)).toBe(`before\n${REDACTED}\nafter\n`);
      expect(await through(`before\n${long}`, 65_536, redactLines)).toBe(`before\n${REDACTED}`);
      expect(await through(`before\n${long}\nafter\n`, size, redactLines)).not.toContain('hunter2');
    },
  );
});
