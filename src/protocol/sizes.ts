/** Every size that protocol and contract fix. In bytes, unless the name says otherwise. */

/** SHA-256. */
export const HASH_BYTES = 32;
/** SHA-256 of the framed, normalised username. */
export const USERNAME_HASH_BYTES = HASH_BYTES;
/** srp_salt and master_key_salt. */
export const SALT_BYTES = 32;
/** AES-256 keys, the root, the SRP secret and the SRP session key K. */
export const KEY_BYTES = 32;
/** An element of the 4096-bit group, always padded: A, B, v and S. */
export const GROUP_ELEMENT_BYTES = 512;
/** The private exponents a and b: 320 bits (RFC 5054 §3.1 asks for 256 at least). */
export const PRIVATE_EXPONENT_BYTES = 40;
/** M1 and M2. */
export const PROOF_BYTES = HASH_BYTES;
/** The identity of an account's history. */
export const HISTORY_ID_BYTES = 16;

/** AES-GCM's nonce. */
export const NONCE_BYTES = 12;
/** AES-GCM's tag. */
export const TAG_BYTES = 16;
/** What a seal adds to its plaintext: nonce and tag. */
export const SEAL_OVERHEAD_BYTES = NONCE_BYTES + TAG_BYTES;
/** What a stored blob adds to its plaintext: the format byte and a seal. */
export const SEALED_BLOB_OVERHEAD_BYTES = 1 + SEAL_OVERHEAD_BYTES;
/** The shortest blob that a server stores: one byte of plaintext. */
export const SEALED_BLOB_MIN_BYTES = SEALED_BLOB_OVERHEAD_BYTES + 1;
/** The longest encrypted_vault_header. */
export const VAULT_HEADER_MAX_BYTES = 16_384;

/** How many request numbers the anti-replay window spans (RFC 4303 §3.4.3). */
export const REPLAY_WINDOW_NUMBERS = 64n;
/** Request numbers stay below this. */
export const REQUEST_NUMBER_LIMIT = 2n ** 53n;

/** EntryName is padded to a multiple of this. */
export const ENTRY_NAME_PADDING = 64;
/** EntryData is padded to a multiple of this. */
export const ENTRY_DATA_PADDING = 256;
/** VaultHeader is padded to a multiple of this. */
export const VAULT_HEADER_PADDING = 256;
