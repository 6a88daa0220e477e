import { describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/formats/envoy-json.js';
import { any, ask, cluster, endpoint, listener, load, manager, told, TO_C } from './dumps.js';

const PEER = 'spiffe://cluster.local/ns/foo/sa/sleep';
const C = cluster('c', [endpoint('10.1.0.1')]);

function chain(
  context: JsonObject,
  more: JsonObject = {},
  http: JsonObject = {},
  route: JsonObject = TO_C,
): JsonObject {
  return {
    filters: [manager([route], http)],
    transport_socket: {
      name: 'tls',
      typed_config: any('envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext', {
        common_tls_context: context,
        ...more,
      }),
    },
  };
}

function over(
  made: JsonObject,
  peer: string | null,
  others: readonly JsonObject[] = [],
  headers: Record<string, string> = {},
  sni: string | null = 'a.test',
): readonly string[] {
  const envoy = load({ listeners: [listener(made)], clusters: [C], others });
  const http = { method: 'GET', authority: 'a.test', path: '/', headers };
  return told(ask(envoy, { tls: { sni, alpn: [], peer }, http }));
}

const WELL = ['to 10.1.0.1:8080'];
const REFUSED = [expect.stringMatching(/^error downstream_tls:/)];

describe('a TLS handshake', () => {
  const validate = (value: JsonObject): JsonObject => chain({ validation_context: value });

  it('a pinned certificate is known by its hash alone', () => {
    for (const field of ['verify_certificate_hash', 'verify_certificate_spki']) {
      expect(over(validate({ [field]: ['ab'] }), null)).toEqual(REFUSED);
      expect(over(validate({ [field]: ['ab'] }), PEER)).toEqual([
        `to 10.1.0.1:8080 if the certificate of ${PEER} is one that is pinned here`,
        expect.stringMatching(/^error downstream_tls:CERTIFICATE_VERIFY_FAILED if /),
      ]);
    }
  });

  it('of the names of a certificate only the URI is known', () => {
    const demand = (san_type: string, exact: string): JsonObject =>
      validate({ match_typed_subject_alt_names: [{ san_type, matcher: { exact } }] });
    expect(over(demand('URI', PEER), PEER)).toEqual(WELL);
    expect(over(demand('URI', 'spiffe://other'), PEER)).toEqual(REFUSED);
    expect(over(demand('DNS', 'a.test'), PEER)).toHaveLength(2);
    expect(over(demand('DNS', 'a.test'), PEER)[0]).toContain('carries the name that is demanded');
  });

  it('the SPIFFE validator asks for the trust domain', () => {
    const domains = (...names: string[]): JsonObject =>
      validate({
        custom_validator_config: {
          name: 'envoy.tls.cert_validator.spiffe',
          typed_config: any('envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig', {
            trust_domains: names.map((name) => ({ name })),
          }),
        },
      });
    expect(over(domains('td2', 'cluster.local'), PEER)).toEqual(WELL);
    expect(over(domains('td2'), PEER)).toEqual(REFUSED);
  });

  it('a chain may demand a server name', () => {
    expect(over(chain({}, { require_sni: true }), null)).toEqual(WELL);
    expect(over(chain({}, { require_sni: true }), null, [], {}, null)).toEqual(REFUSED);
  });

  it('a secret that has not come keeps the chain closed', () => {
    const context = { tls_certificate_sds_secret_configs: [{ name: 'kubernetes://web-cert' }] };
    const secrets = (part: string): readonly JsonObject[] => [
      any('envoy.admin.v3.SecretsConfigDump', { [part]: [{ name: 'kubernetes://web-cert', secret: {} }] }),
    ];
    expect(over(chain(context), null, secrets('dynamic_active_secrets'))).toEqual(WELL);
    expect(over(chain(context), null, secrets('dynamic_warming_secrets'))).toEqual([
      'error downstream_tls:secret kubernetes://web-cert has not come yet',
    ]);
  });

  it('a client that accepts nothing else connects to nobody without its certificate', () => {
    const socket = {
      name: 'tls',
      typed_config: any('envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext', {
        common_tls_context: { tls_certificate_sds_secret_configs: [{ name: 'default' }] },
      }),
    };
    const others = [any('envoy.admin.v3.SecretsConfigDump', { dynamic_warming_secrets: [{ name: 'default' }] })];
    const envoy = load({
      listeners: [listener({ filters: [manager([TO_C])] })],
      clusters: [{ ...C, transport_socket: socket }],
      others,
    });
    expect(told(ask(envoy))).toEqual([
      'unknown secret default has not come yet: without it there is no TLS if transport to 10.1.0.1:8080',
    ]);
    expect(ask(envoy)[0]?.unknowns[0]?.reason).toContain('secret default has not come yet');
  });
});

describe('x-forwarded-client-cert as routes see it', () => {
  const route = (match: JsonObject): JsonObject => ({
    match: { prefix: '/', headers: [{ name: 'x-forwarded-client-cert', ...match }] },
    route: { cluster: 'c' },
  });
  const given = { 'x-forwarded-client-cert': 'URI=spiffe://a' };
  const asked = (details: string | null, match: JsonObject, peer: string | null): readonly string[] => {
    const http = details === null ? {} : { forward_client_cert_details: details };
    return over(chain({}, {}, http, route(match)), peer, [], given);
  };

  it.each([
    ['SANITIZE', PEER, ['respond 404']],
    [null, PEER, ['respond 404']],
    ['FORWARD_ONLY', PEER, WELL],
    ['FORWARD_ONLY', null, ['respond 404']],
    ['ALWAYS_FORWARD_ONLY', null, WELL],
    ['APPEND_FORWARD', PEER, WELL],
    ['SANITIZE_SET', null, ['respond 404']],
  ] as const)('%s, client %s', (details, peer, want) => {
    expect(asked(details, { present_match: true }, peer)).toEqual(want);
  });

  it('its value is not known where this Envoy writes it', () => {
    expect(asked('ALWAYS_FORWARD_ONLY', { string_match: { contains: 'spiffe://a' } }, PEER)).toEqual(WELL);
    expect(asked('SANITIZE_SET', { string_match: { contains: 'spiffe://a' } }, PEER)).toHaveLength(2);
  });
});
