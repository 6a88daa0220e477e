/** More texts than this are not kept. */
const MOST = 50_000;

/** The same function, asked once for each text: the addresses and identities of a mesh come back again and again. */
export function remember<T>(read: (text: string) => T): (text: string) => T {
  const known = new Map<string, T>();
  return (text) => {
    const old = known.get(text);
    if (old !== undefined) return old;
    const value = read(text);
    if (known.size >= MOST) known.clear();
    known.set(text, value);
    return value;
  };
}
