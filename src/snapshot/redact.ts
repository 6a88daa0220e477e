/**
 * What must never reach a snapshot. Two ways in: `redactObject` for API objects that are in memory, `redact-stream.ts`
 * for dumps of any size; both decide by `replacementFor`.
 */
export const REDACTED = '[redacted by meshpath]';

/** Where a string stands: the keys from the root ('' for an element of an array), and the name beside it. */
interface Site {
  readonly keys: readonly string[];
  /** Value of `name` or `key` in the same object: of an environment variable, of a header. */
  readonly named: string | null;
}

/**
 * Environment variables that decide how istiod, a proxy, ztunnel or the CNI agent behaves; all others may hold anything.
 * ISTIO_METAJSON_* hold copies of annotations, and are among those.
 */
const ENV_ALLOWED =
  /^(?:(?:ISTIO_META|ISTIO_OUTBOUND|ISTIO_INBOUND|PILOT|AMBIENT|INPOD|REPAIR|CNI|CA|XDS|ENABLE|DISABLE|UNSTABLE|HOST_PROBE|ZTUNNEL)_[A-Z0-9_]*|(?:POD|NODE|HOST)_(?:NAME|NAMESPACE|IP)|INSTANCE_IP|SERVICE_ACCOUNT|TRUST_DOMAIN|CLUSTER_ID|NETWORK|NATIVE_NFTABLES|FORCE_IPTABLES_BINARY|PACKET_MARK|PROXY_(?:MODE|WORKLOADS|CONFIG)|EXCLUDE_NAMESPACES|ALLOW_SWITCH_TO_HOST_NS|GOMEMLIMIT|GOMAXPROCS|PORT|PLATFORM|EBPF_ENABLED|REVISION|ISTIO_VERSION|DROP_INVALID|INVALID_DROP|RUST_LOG|KUBERNETES_SERVICE_(?:HOST|PORT)|WATCH_ONLY|LOCALHOST_ONLY)$/;

/** Words that say of themselves that what they name is a secret. */
const SECRET_WORD =
  'passwords?|passwd|passphrase|tokens?|secrets?|secret[_-]?keys?|api[_-]?keys?|private[_-]?keys?|credentials?|' +
  'secret[_-]?access[_-]?keys?|access[_-]?key[_-]?ids?|session[_-]?tokens?|client[_-]?secrets?|hmac[_-]?secrets?';

/** Names of such, whatever the list above allows. */
const SECRET_NAME = new RegExp(
  `^(?:.*[_.-])?(?:${SECRET_WORD}|(?:proxy-)?authorization|cookie|set-cookie|json_key|stable_secret)$`,
  'i',
);

/** The same in camel case: `accessToken`, `clientSecret`. */
const SECRET_CAMEL =
  /[a-z](?:Password|Passwd|Passphrase|Token|Secret|SecretKey|ApiKey|PrivateKey|AccessKey|Credential)s?$/;

/** Inline data sources whose text is public or decides the traffic; every other `inline_*` may be a key. */
const INLINE_PUBLIC =
  /^(?:trusted_?ca|certificate_?chain|crl|body|body_?format|text_?format(?:_source)?|json_?format|default_?source_?code|source_?codes?|inline_?code|specifier|response|local_?reply|descriptor|proto_?descriptor_?bin)$/i;

const INLINE = /^inline_?(?:bytes|string)$/i;

/** Private keys, JSON Web Tokens, user:password in a URL, and HTTP credentials, wherever they stand. */
const ANYWHERE =
  /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)|\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*|(?<=:\/\/)[^/\s:@"']+:[^/\s@"']+(?=@)|(?<=\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{12,}|LS0tLS1CRUdJTi[A-Za-z0-9+/]{1,12}(?:UFJJVkFURSBLRVkt|BSSVZBVEUgS0VZL|gUFJJVkFURSBLRVkt)[A-Za-z0-9+/=]*/gi;

/** What every match of the two expressions around this one holds: most strings are sorted out by it, ten times faster. */
const MAY_HOLD =
  /PRIVATE KEY|eyJ|:\/\/|bearer|basic|LS0tLS1|^-|--|(?:passw(?:or)?ds?|passphrase|tokens?|secrets?|keys?|key_?ids?|credentials?)["']? ?[=:]/i;

/** An option of a command line that carries its secret with it. */
const SECRET_OPTION =
  /(--?[\w.-]*(?:password|passwd|token|secret|api-?key|private-?key|credential)[\w.-]*[= ])(?!\$\()[^\s"']+/gi;

/** `TOKEN=…` of a shell, `?token=…&` of a URL. Not what only names a file, or a variable that holds it. */
const ASSIGNED = new RegExp(
  `((?<![A-Za-z0-9])[A-Za-z0-9_.-]*?(?:${SECRET_WORD})=)(?![/$%]|\\[redacted)[^\\s&;"'\\\\]+`,
  'gi',
);

/** `accessToken: …` in a document inside of a text (the mesh configuration of a ConfigMap). */
const FIELD = /^([ \t-]*["']?([A-Za-z][A-Za-z0-9_.-]*)["']?[ \t]*:[ \t]+["']?)([^\s"',{}[\]|>&*][^\n"',]*)/gm;

/** The text that takes the place of `value`, or null where it may stay as it is. */
export function replacementFor(site: Site, value: string): string | null {
  const { keys, named } = site;
  const key = keys.at(-1) ?? '';
  if (value === '' || value === REDACTED) return null;
  if (key === 'value' && named !== null) {
    if (isEnv(keys))
      return ENV_ALLOWED.test(named) && !isSecretName(named) ? (insideJson(value) ?? scrub(value)) : REDACTED;
    if (isSecretName(named)) return REDACTED;
  }
  if (INLINE.test(key)) return INLINE_PUBLIC.test(owner(keys)) ? scrub(value) : REDACTED;
  if (key === 'kubectl.kubernetes.io/last-applied-configuration') return REDACTED;
  if (isSecretName(key) && !isReference(keys, value)) return REDACTED;
  if (isSecretMaterial(keys)) return REDACTED;
  // envoy.filters.http.api_key_auth: credentials: [{key, client}]
  if (key === 'key' && owner(keys) === 'credentials') return REDACTED;
  return scrub(value);
}

/** Replaces the secrets inside a text; null where there are none. */
export function scrub(text: string): string | null {
  if (text.length < 12 || !MAY_HOLD.test(text)) return null;
  let out = text.replace(ANYWHERE, REDACTED);
  if (out.includes('--') || out.startsWith('-')) out = out.replace(SECRET_OPTION, `$1${REDACTED}`);
  if (out.includes('=')) out = out.replace(ASSIGNED, `$1${REDACTED}`);
  if (out.includes(':')) {
    out = out.replace(FIELD, (whole, head: string, name: string, value: string) =>
      isSecretName(name) && !isReference([name], value) ? head + REDACTED : whole,
    );
  }
  return out === text ? null : out;
}

function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name) || SECRET_CAMEL.test(name);
}

/** PROXY_CONFIG is a document of its own, and may hold the token of a tracer. Null: it is none, or holds no secret. */
function insideJson(value: string): string | null {
  if (!value.trimStart().startsWith('{')) return null;
  try {
    const text = JSON.stringify(JSON.parse(value));
    const clean = JSON.stringify(redactObject(JSON.parse(value)));
    return clean === text ? null : clean;
  } catch {
    return REDACTED;
  }
}

function isEnv(keys: readonly string[]): boolean {
  return keys.at(-2) === '' && keys.at(-3) === 'env';
}

/** The nearest key above that is no index. */
function owner(keys: readonly string[]): string {
  for (let i = keys.length - 2; i >= 0; i--) {
    const key = keys[i];
    if (key !== undefined && key !== '') return key;
  }
  return '';
}

/** Elements of `keys`, `passwords`, `tokens`: arrays and objects of secrets. */
function isSecretMaterial(keys: readonly string[]): boolean {
  if (keys.at(-1) !== '') return false;
  const name = owner(keys);
  return isSecretName(name) && name !== 'secrets';
}

/**
 * Names of Secrets are no secrets (`secretName`, `tokenPath`, a volume's `secret.secretName`), nor are booleans in text
 * and paths of files.
 */
function isReference(keys: readonly string[], value: string): boolean {
  return (
    value.startsWith('/') ||
    /^(?:true|false|\d{1,4})$/.test(value) ||
    (keys.includes('matchLabels') && !keys.includes('env'))
  );
}

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Keys of API objects that are left out: bookkeeping, and names of credentials. */
const DROPPED = new Set(['managedFields', 'imagePullSecrets']);

/** A copy of a JSON value without its secrets. Data of a Secret is replaced whole, should one ever be handed in. */
export function redactObject<T>(value: T): T;
export function redactObject(value: Json): Json {
  return walk(value, [], null);
}

function walk(value: Json, keys: readonly string[], named: string | null): Json {
  if (typeof value === 'string') return replacementFor({ keys, named }, value) ?? value;
  if (value === null || typeof value !== 'object') return value;
  if (isList(value))
    return value.map((item, at) => secretArgument(item, value[at - 1]) ?? walk(item, [...keys, ''], null));
  const isSecret = value['kind'] === 'Secret';
  const beside = value['name'] ?? value['key'];
  const inner = typeof beside === 'string' ? beside : null;
  const out: { [key: string]: Json } = {};
  for (const [key, item] of Object.entries(value)) {
    if (DROPPED.has(key) || key === 'kubectl.kubernetes.io/last-applied-configuration') continue;
    if (isSecret && (key === 'data' || key === 'stringData')) out[key] = {};
    else out[key] = walk(item, [...keys, key], inner);
  }
  return out;
}

/** `["--password", "…"]`: what stands behind an option that has no value beside it. */
function secretArgument(item: Json, before: Json | undefined): string | null {
  if (typeof item !== 'string' || typeof before !== 'string' || !/^--?[\w.-]+$/.test(before)) return null;
  const name = before.replace(/^--?/, '');
  return isSecretName(name) && !isReference([name], item) && !item.startsWith('$(') ? REDACTED : null;
}

function isList(value: readonly Json[] | { readonly [key: string]: Json }): value is readonly Json[] {
  return Array.isArray(value);
}
