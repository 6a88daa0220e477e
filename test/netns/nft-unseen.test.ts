import { describe, expect, it } from 'vitest';
import { readsUnseen } from '../../src/netns/nft/unseen.js';

describe('what nft reads that no question and no file tells', () => {
  it.each([
    [{ meta: { key: 'cpu' } }],
    [{ ct: { key: 'bytes', dir: 'original' } }],
    [{ payload: { protocol: 'ip', field: 'ttl' } }],
    [{ '&': [{ payload: { protocol: 'ip', field: 'dscp' } }, 3] }],
    [{ concat: [{ meta: { key: 'mark' } }, { meta: { key: 'hour' } }] }],
    [{ 'tcp option': { name: 'maxseg', field: 'size' } }],
  ])('%j is understood, only its value is not known', (json) => {
    expect(readsUnseen(json)).toBe(true);
  });

  it.each([[{ meta: { key: 'colour' } }], [{ ct: { key: 'colour' } }], [{ colour: { key: 'cpu' } }], ['cpu'], [null]])(
    '%j is not understood',
    (json) => {
      expect(readsUnseen(json)).toBe(false);
    },
  );
});
