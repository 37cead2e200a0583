import { expect } from 'chai';
import * as sizes from '../../src/protocol/sizes.ts';

describe('the sizes of the protocol', () => {
  it('are those of the published protocol and contract', () => {
    expect({ ...sizes }).to.deep.equal({
      HASH_BYTES: 32,
      USERNAME_HASH_BYTES: 32,
      SALT_BYTES: 32,
      KEY_BYTES: 32,
      GROUP_ELEMENT_BYTES: 512,
      PRIVATE_EXPONENT_BYTES: 40,
      PROOF_BYTES: 32,
      HISTORY_ID_BYTES: 16,
      NONCE_BYTES: 12,
      TAG_BYTES: 16,
      SEAL_OVERHEAD_BYTES: 28,
      SEALED_BLOB_OVERHEAD_BYTES: 29,
      SEALED_BLOB_MIN_BYTES: 30,
      VAULT_HEADER_MAX_BYTES: 16_384,
      REPLAY_WINDOW_NUMBERS: 64n,
      REQUEST_NUMBER_LIMIT: 9_007_199_254_740_992n,
      ENTRY_NAME_PADDING: 64,
      ENTRY_DATA_PADDING: 256,
      VAULT_HEADER_PADDING: 256,
    });
  });
});
