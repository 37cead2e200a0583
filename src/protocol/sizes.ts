/** Every size that the protocol fixes, in bytes. */

/** SHA-256 over the framed username. */
export const USERNAME_HASH_BYTES = 32;
/** srp_salt and master_key_salt. */
export const SALT_BYTES = 32;
/** A group element as PAD(x). */
export const GROUP_ELEMENT_BYTES = 512;
/** The private exponents a and b: 320 bits. */
export const PRIVATE_EXPONENT_BYTES = 40;
/** M1 and M2. */
export const PROOF_BYTES = 32;
/** Every symmetric key, and K. */
export const KEY_BYTES = 32;
/** The nonce of AES-GCM. */
export const NONCE_BYTES = 12;
/** The tag of AES-GCM. */
export const TAG_BYTES = 16;
/** nonce | tag. */
export const SEAL_OVERHEAD_BYTES = NONCE_BYTES + TAG_BYTES;
/** Format byte | nonce | tag. */
export const SEALED_BLOB_OVERHEAD_BYTES = 1 + SEAL_OVERHEAD_BYTES;
/** The smallest blob: one byte of plaintext. */
export const SEALED_BLOB_MIN_BYTES = SEALED_BLOB_OVERHEAD_BYTES + 1;
/** The largest encrypted_vault_header. */
export const VAULT_HEADER_MAX_BYTES = 16_384;
/** history_id. */
export const HISTORY_ID_BYTES = 16;
/** What the plaintexts are padded to. */
export const VAULT_HEADER_PADDING = 256;
export const ENTRY_NAME_PADDING = 64;
export const ENTRY_DATA_PADDING = 256;
