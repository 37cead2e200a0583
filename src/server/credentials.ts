/** The credentials of an account between the contract and their sealed columns. */
import type { ColumnSealer } from '../database/column_sealer.ts';
import type { Row } from '../database/database.ts';
import { equalBytes } from '../protocol/bytes.ts';
import { isSameKdf, type KdfParameters } from '../protocol/kdf.ts';

/** What a password is verified with. */
export interface LoginCredentials {
  /** 32 bytes. */
  readonly srpSalt: Uint8Array;
  /** 512 bytes. */
  readonly srpVerifier: Uint8Array;
  /** 32 bytes. */
  readonly masterKeySalt: Uint8Array;
  readonly kdf: KdfParameters;
}

/** What a password is verified and a vault is opened with. */
export interface Credentials extends LoginCredentials {
  /** 30 to 16,384 bytes, opaque. */
  readonly encryptedVaultHeader: Uint8Array;
}

/** Columns of what a password is verified with, sealed. */
export interface LoginCredentialRow extends Row {
  readonly srp_salt: Buffer;
  readonly srp_verifier: Buffer;
  readonly master_key_salt: Buffer;
  readonly kdf_algorithm: number;
  readonly kdf_memory_kib: number;
  readonly kdf_iterations: number;
  readonly kdf_parallelism: number;
}

/** Columns of credentials, sealed. */
export interface CredentialRow extends LoginCredentialRow {
  readonly encrypted_vault_header: Buffer;
}

/** Seals credentials column by column, and opens them. */
export class CredentialSealer {
  readonly #sealer: ColumnSealer;

  constructor(sealer: ColumnSealer) {
    this.#sealer = sealer;
  }

  /**
   * The columns' values in the order srp_salt, srp_verifier, master_key_salt, encrypted_vault_header, kdf_algorithm,
   * kdf_memory_kib, kdf_iterations, kdf_parallelism. `prefix` is '' or 'new_', part of the columns' names.
   */
  seal(table: string, rowId: string, prefix: '' | 'new_', credentials: Credentials): (Buffer | number)[] {
    const sealed = (column: string, value: Uint8Array) =>
      this.#sealer.seal(table, `${prefix}${column}`, rowId, value);
    const { algorithm, memoryKib, iterations, parallelism } = credentials.kdf;
    return [
      sealed('srp_salt', credentials.srpSalt),
      sealed('srp_verifier', credentials.srpVerifier),
      sealed('master_key_salt', credentials.masterKeySalt),
      sealed('encrypted_vault_header', credentials.encryptedVaultHeader),
      algorithm,
      memoryKib,
      iterations,
      parallelism,
    ];
  }

  /** Opens a row's credentials. Throws SealBrokenError for a value that was moved or changed. */
  open(table: string, rowId: string, prefix: '' | 'new_', row: CredentialRow): Credentials {
    return {
      ...this.openLogin(table, rowId, prefix, row),
      encryptedVaultHeader: this.openHeader(table, rowId, prefix, row.encrypted_vault_header),
    };
  }

  /** Opens what a password is verified with. Throws SealBrokenError for a value that was moved or changed. */
  openLogin(table: string, rowId: string, prefix: '' | 'new_', row: LoginCredentialRow): LoginCredentials {
    const opened = (column: string, value: Buffer) =>
      this.#sealer.open(table, `${prefix}${column}`, rowId, value);
    return {
      srpSalt: opened('srp_salt', row.srp_salt),
      srpVerifier: opened('srp_verifier', row.srp_verifier),
      masterKeySalt: opened('master_key_salt', row.master_key_salt),
      kdf: {
        algorithm: row.kdf_algorithm,
        memoryKib: row.kdf_memory_kib,
        iterations: row.kdf_iterations,
        parallelism: row.kdf_parallelism,
      },
    };
  }

  /** Opens a vault header. Throws SealBrokenError for a value that was moved or changed. */
  openHeader(table: string, rowId: string, prefix: '' | 'new_', stored: Buffer): Buffer {
    return this.#sealer.open(table, `${prefix}encrypted_vault_header`, rowId, stored);
  }

  /** Whether two credentials are the same, byte for byte. */
  equal(one: Credentials, other: Credentials): boolean {
    return (
      equalBytes(one.srpSalt, other.srpSalt) &&
      equalBytes(one.srpVerifier, other.srpVerifier) &&
      equalBytes(one.masterKeySalt, other.masterKeySalt) &&
      equalBytes(one.encryptedVaultHeader, other.encryptedVaultHeader) &&
      isSameKdf(one.kdf, other.kdf)
    );
  }
}
