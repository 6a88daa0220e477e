/**
 * A list whose length is known and whose elements are made when they are read. It spreads, iterates,
 * compares and prints as an ordinary array (structuredClone takes none). Element 0 is made alone, as most readers of a long list of outcomes look
 * no further; whoever asks for more gets all.
 */
export function lazyList<T>(length: number, make: (index: number) => T): readonly T[] {
  return new Proxy<T[]>(new Array<T>(length), new Maker(length, make));
}

class Maker<T> implements ProxyHandler<T[]> {
  /** Null once all elements are there. */
  private make: ((index: number) => T) | null;
  private readonly length: number;

  constructor(length: number, make: (index: number) => T) {
    this.length = length;
    this.make = make;
  }

  private fill(target: T[]): void {
    const { make } = this;
    if (make === null) return;
    for (let index = 0; index < this.length; index++) if (!Object.hasOwn(target, index)) target[index] = make(index);
    this.make = null;
  }

  get(target: T[], key: string | symbol, receiver: unknown): unknown {
    if (this.make !== null && typeof key === 'string' && key !== 'length') {
      if (key !== '0') {
        if (isIndex(key)) this.fill(target);
      } else if (this.length > 0 && !Object.hasOwn(target, 0)) target[0] = this.make(0);
    }
    return Reflect.get(target, key, receiver);
  }

  has(target: T[], key: string | symbol): boolean {
    this.fill(target);
    return Reflect.has(target, key);
  }

  ownKeys(target: T[]): (string | symbol)[] {
    this.fill(target);
    return Reflect.ownKeys(target);
  }

  getOwnPropertyDescriptor(target: T[], key: string | symbol): PropertyDescriptor | undefined {
    if (key !== 'length') this.fill(target);
    return Reflect.getOwnPropertyDescriptor(target, key);
  }
}

function isIndex(key: string): boolean {
  const first = key.charCodeAt(0);
  return first >= 48 && first <= 57;
}
