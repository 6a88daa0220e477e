/** Parts of the files of a namespace, as the tools print them, that many tests are made of. */

/** Texts by name. */
export type Files = Readonly<Record<string, string>>;

/** All of them but one. */
export function without(files: Files, name: string): Files {
  return Object.fromEntries(Object.entries(files).filter(([other]) => other !== name));
}

/** `ip -j rule` where nobody added one. */
export const DEFAULT_RULES = JSON.stringify([
  { priority: 0, src: 'all', table: 'local' },
  { priority: 32766, src: 'all', table: 'main' },
]);

/** The route that the kernel makes of an address of its own. */
export function localRoute(dst: string, dev: string): object {
  return { type: 'local', dst, dev, table: 'local', protocol: 'kernel', scope: 'host', flags: [] };
}

/** A device of `ip -j address` that is up, with addresses of a network of usual size. */
export function device(ifindex: number, ifname: string, ...addresses: readonly string[]): object {
  const infos = addresses.map((local) =>
    local.includes(':')
      ? { family: 'inet6', local, prefixlen: 64, scope: local.startsWith('fe80:') ? 'link' : 'global' }
      : { family: 'inet', local, prefixlen: 24, scope: 'global' },
  );
  return { ifindex, ifname, flags: ['UP', 'LOWER_UP'], addr_info: infos };
}

/** Settings of a device with which IPv4 does nothing that is special. */
const PLAIN = { rp_filter: 0, accept_local: 0, route_localnet: 0, send_redirects: 0, src_valid_mark: 0 };

/** What `sysctl -a` prints of devices (`all` is one), each line ended; `more`: settings beside those that are off. */
export function deviceSettings(devices: readonly string[], more: Readonly<Record<string, number>> = {}): string {
  const settings = Object.entries({ ...PLAIN, ...more });
  return devices
    .flatMap((name) => settings.map(([key, value]) => `net.ipv4.conf.${name}.${key} = ${value}\n`))
    .join('');
}

/** A chain with one rule, or none. */
export interface NftChain {
  readonly name: string;
  readonly expr: readonly object[];
  /** Hook, type and priority; null: a chain that others jump to. */
  readonly base: object | null;
}

/** nft's list with one table, t. */
export function nftTable(family: string, chains: readonly NftChain[], table: object = {}): Files {
  return {
    'nft-ruleset.json': JSON.stringify({
      nftables: [
        { table: { family, name: 't', ...table } },
        ...chains.map(({ name, base }) => ({ chain: { family, table: 't', name, ...base } })),
        ...chains.flatMap(({ name, expr }) =>
          expr.length === 0 ? [] : [{ rule: { family, table: 't', chain: name, expr } }],
        ),
      ],
    }),
  };
}

/** nft's list with one chain, c, that filters at priority 0 and accepts but for what `base` says. */
export function nftChain(family: string, hook: string, expr: readonly object[], base: object = {}): Files {
  const usual = { type: 'filter', hook, prio: 0, policy: 'accept' };
  return nftTable(family, [{ name: 'c', expr, base: { ...usual, ...base } }]);
}
