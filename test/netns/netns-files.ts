/** Parts of the files of a namespace, as the tools print them, that many tests are made of. */

/** `ip -j rule` where nobody added one. */
export const DEFAULT_RULES = JSON.stringify([
  { priority: 0, src: 'all', table: 'local' },
  { priority: 32766, src: 'all', table: 'main' },
]);

/** The route that the kernel makes of an address of its own. */
export function localRoute(dst: string, dev: string): object {
  return { type: 'local', dst, dev, table: 'local', protocol: 'kernel', scope: 'host', flags: [] };
}
