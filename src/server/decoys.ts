/**
 * What an unknown name is answered with: salts that stay the same for ever, the parameters that clients use by default,
 * and a verifier for which nobody knows a password. Made from a server secret, so an attacker cannot tell them from real
 * ones.
 */
import { hkdfSync } from 'node:crypto';
import type { ColumnSealer } from '../database/column_sealer.ts';
import { DEFAULT_KDF_PARAMETERS } from '../protocol/kdf.ts';
import { GROUP_ELEMENT_BYTES } from '../protocol/sizes.ts';
import { bytesToBigint, GROUP, padGroupElement } from '../protocol/srp.ts';
import { CredentialSealer, type LoginCredentialRow, type LoginCredentials } from './credentials.ts';

/** Where the decoys come from: 32 bytes of HMAC over a name, one secret a label. */
export interface DecoySecrets {
  decoySecret(label: string, usernameHash: Uint8Array): Uint8Array;
}

export class Decoys {
  /** A sealed row of nobody, opened when a name is unknown so that both ways cost the same. */
  readonly row: LoginCredentialRow;
  /** The columns of `row` as parameters of a statement. */
  readonly columns: readonly (Buffer | number)[];
  /** The id that seals `row`. */
  readonly rowId: string;
  /** A public value B (512 bytes) for the arithmetic of an attempt that is unknown. */
  readonly publicB: Uint8Array;
  readonly #secrets: DecoySecrets;

  constructor(secrets: DecoySecrets, sealer: ColumnSealer) {
    this.#secrets = secrets;
    this.rowId = crypto.randomUUID();
    const nobody = this.credentials(new Uint8Array(32));
    this.publicB = nobody.srpVerifier;
    const [srpSalt, srpVerifier, masterKeySalt] = new CredentialSealer(sealer).seal('users', this.rowId, '', {
      ...nobody,
      encryptedVaultHeader: new Uint8Array(0),
    });
    this.row = {
      srp_salt: srpSalt as Buffer,
      srp_verifier: srpVerifier as Buffer,
      master_key_salt: masterKeySalt as Buffer,
      kdf_algorithm: nobody.kdf.algorithm,
      kdf_memory_kib: nobody.kdf.memoryKib,
      kdf_iterations: nobody.kdf.iterations,
      kdf_parallelism: nobody.kdf.parallelism,
    };
    this.columns = Object.values(this.row) as (Buffer | number)[];
  }

  /** The decoy of a name (32 bytes). The verifier is a group element without a known logarithm. */
  credentials(usernameHash: Uint8Array): LoginCredentials {
    const secret = (label: string) => this.#secrets.decoySecret(label, usernameHash);
    const verifier = hkdfSync('sha512', secret('decoy verifier'), '', '', GROUP_ELEMENT_BYTES);
    return {
      srpSalt: secret('decoy srp salt'),
      masterKeySalt: secret('decoy master key salt'),
      kdf: DEFAULT_KDF_PARAMETERS,
      srpVerifier: padGroupElement(bytesToBigint(new Uint8Array(verifier)) % GROUP.N),
    };
  }
}
