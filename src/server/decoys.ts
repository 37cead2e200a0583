/**
 * What an unknown name is answered with: salts of its own that stay the same for ever, the parameters that clients use by
 * default, and a verifier for which nobody knows a password. Made from a server secret, so an attacker cannot tell them from
 * real ones. One verifier serves all names, since B tells nothing of it: a fresh g^b hides it.
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

/** One verifier for all names, and salts for each. */
export class Decoys {
  /** The sealed credentials of nobody, opened when a name is unknown so that both ways cost the same. */
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
    const nobody = new Uint8Array(32);
    // A group element without a known logarithm.
    const material = hkdfSync(
      'sha512',
      secrets.decoySecret('decoy verifier', nobody),
      '',
      '',
      GROUP_ELEMENT_BYTES,
    );
    const srpVerifier = padGroupElement(bytesToBigint(new Uint8Array(material)) % GROUP.N);
    this.publicB = srpVerifier;
    const kdf = DEFAULT_KDF_PARAMETERS;
    const encryptedVaultHeader = new Uint8Array(0);
    const [srpSalt, verifier, masterKeySalt] = new CredentialSealer(sealer).seal('users', this.rowId, '', {
      ...this.salts(nobody),
      srpVerifier,
      kdf,
      encryptedVaultHeader,
    });
    this.row = {
      srp_salt: srpSalt as Buffer,
      srp_verifier: verifier as Buffer,
      master_key_salt: masterKeySalt as Buffer,
      kdf_algorithm: kdf.algorithm,
      kdf_memory_kib: kdf.memoryKib,
      kdf_iterations: kdf.iterations,
      kdf_parallelism: kdf.parallelism,
    };
    this.columns = Object.values(this.row) as (Buffer | number)[];
  }

  /** The salts of a name (32 bytes), 32 bytes each. */
  salts(usernameHash: Uint8Array): Pick<LoginCredentials, 'srpSalt' | 'masterKeySalt'> {
    return {
      srpSalt: this.#secrets.decoySecret('decoy srp salt', usernameHash),
      masterKeySalt: this.#secrets.decoySecret('decoy master key salt', usernameHash),
    };
  }
}
