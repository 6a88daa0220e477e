/** Entries by network and address: most meshes have one network, which is then found without a text being made. */
export class AddressIndex<T> {
  private readonly networks = new Map<string, Map<string, T>>();

  get(network: string, ip: string): T | undefined {
    return this.networks.get(network)?.get(ip);
  }

  set(network: string, ip: string, entry: T): void {
    const entries = this.networks.get(network);
    if (entries === undefined) this.networks.set(network, new Map([[ip, entry]]));
    else entries.set(ip, entry);
  }
}
