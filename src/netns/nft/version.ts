import type { NftVersion } from '../../formats/nft-ruleset.js';

/** What older nft leaves out of its list in JSON, or prints wrongly. Seen with 0.9.8, 1.0.2, 1.0.6, 1.0.9, 1.1.1, 1.1.3, 1.1.7. */
interface Printed {
  /** Statements of the elements that rules add (`update @s { ip saddr limit rate 10/second }`): 1.0.2 leaves them out. */
  readonly elementStatements: boolean;
  /** Prefixes of IPv6 in concatenations: 0.9.8 prints fd00::/16 as fd00::/64. */
  readonly concatenatedPrefixes6: boolean;
}

/** A list without a version was made by hand, and says what it says. */
export function printedBy(version: NftVersion | null): Printed {
  return {
    elementStatements: version === null || !isBefore(version, [1, 0, 6]),
    concatenatedPrefixes6: version === null || !isBefore(version, [1, 0, 2]),
  };
}

function isBefore(version: NftVersion, other: NftVersion): boolean {
  const at = version.findIndex((number, place) => number !== other[place]);
  return (version[at] ?? 0) < (other[at] ?? 0);
}
