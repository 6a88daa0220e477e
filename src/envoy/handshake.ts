import { boolean, list, object, objectOrNull, string, typed, type JsonObject } from '../formats/envoy-json.js';
import type { EnvoyDump } from '../formats/envoy-dump.js';
import type { Connection } from './connection.js';
import type { Engine } from './engine.js';
import { stringMatcher } from './strings.js';
import { any, doubt, type Doubt, type Tri } from './tri.js';

/** A name that the client's certificate must carry: of the certificate this program knows the URI SAN alone. */
interface NameRule {
  readonly matcher: JsonObject;
  readonly uri: boolean;
}

function nameRules(validation: JsonObject): readonly NameRule[] {
  return [
    ...list(validation['match_subject_alt_names']).map((item) => ({ matcher: object(item), uri: true })),
    ...list(validation['match_typed_subject_alt_names']).map((item) => {
      const kind = string(object(item)['san_type']) ?? 'SAN_TYPE_UNSPECIFIED';
      return { matcher: object(object(item)['matcher']), uri: kind === 'URI' || kind === 'SAN_TYPE_UNSPECIFIED' };
    }),
  ];
}

function nameFits(rule: NameRule, peer: string): Tri {
  if (rule.uri) return stringMatcher(rule.matcher)(peer);
  return doubt(`the certificate of ${peer} carries the name that is demanded`, 'only its URI name is known');
}

const SPIFFE = 'envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig';

/** Roots by trust domain: a peer of another domain is refused. */
function validatorRefuses(validation: JsonObject, peer: string): string | null | Doubt {
  const custom = objectOrNull(validation['custom_validator_config']);
  if (custom === null) return null;
  const config = typed(custom['typed_config']);
  if (config.type !== SPIFFE) {
    return doubt(
      `${peer} passes validator ${string(custom['name']) ?? config.type}`,
      'it is not known to this program',
    );
  }
  const domains = list(config.value['trust_domains']).map((item) => string(object(item)['name']));
  const own = /^spiffe:\/\/([^/]+)/.exec(peer)?.[1];
  return own !== undefined && domains.includes(own)
    ? null
    : `CERTIFICATE_VERIFY_FAILED: ${peer} is of no trust domain that is accepted here`;
}

/** Secrets that the context needs and that did not come: the connection is closed before the handshake. */
export function missingSecret({ secrets }: EnvoyDump, context: JsonObject): string | null {
  const combined = object(context['combined_validation_context']);
  const named = [
    ...list(context['tls_certificate_sds_secret_configs']),
    combined['validation_context_sds_secret_config'],
    context['validation_context_sds_secret_config'],
  ];
  for (const item of named) {
    const name = string(object(item)['name']);
    if (name !== null && secrets?.get(name)?.state === 'warming') return name;
  }
  return null;
}

/**
 * Why the handshake fails, null where it succeeds, a doubt where only the certificate tells. Names to check make a
 * client certificate obligatory (envoy 1.40 source/common/tls/cert_validator/default_validator.cc,
 * initializeSslContexts).
 */
export function refusal(engine: Engine, config: JsonObject, connection: Connection): string | null | Doubt {
  const { tls } = connection.payload;
  if (tls === null) return 'the chain ends TLS, and the connection is plain text';
  const context = object(config['common_tls_context']);
  const secret = missingSecret(engine.dump, context);
  if (secret !== null) return `secret ${secret} has not come yet`;
  if (boolean(config['require_sni']) === true && tls.sni === null)
    return 'the chain demands a server name (require_sni)';
  const combined = object(context['combined_validation_context']);
  const validation = objectOrNull(combined['default_validation_context']) ?? object(context['validation_context']);
  const names = nameRules(validation);
  const pinned =
    list(validation['verify_certificate_hash']).length > 0 || list(validation['verify_certificate_spki']).length > 0;
  const untrusted = validation['trust_chain_verification'] === 'ACCEPT_UNTRUSTED';
  if (tls.peer === null) {
    const checked = (names.length > 0 || pinned) && !untrusted;
    if (!checked && boolean(config['require_client_certificate']) !== true) return null;
    return 'PEER_DID_NOT_RETURN_A_CERTIFICATE: the chain demands a client certificate';
  }
  if (untrusted) return null;
  const { peer } = tls;
  const domain = validatorRefuses(validation, peer);
  if (typeof domain === 'string') return domain;
  const fits = names.length === 0 ? true : any(names, (rule) => nameFits(rule, peer));
  if (fits === false) return `CERTIFICATE_VERIFY_FAILED: ${peer} is none of the accepted names`;
  if (fits !== true) return fits;
  if (pinned) {
    return doubt(
      `the certificate of ${peer} is one that is pinned here`,
      'hashes of certificates are not in the question',
    );
  }
  return domain;
}
