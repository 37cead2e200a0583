/** Usernames: normalized by the client, sent as a hash alone. */
import { frame, sha256 } from './bytes.ts';
import { ProtocolError } from './errors.ts';

/** Exactly the White_Space property of Unicode, which is not what String.trim strips. */
const WHITE_SPACE =
  '[\\u0009-\\u000d\\u0020\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]+';
const OUTER_WHITE_SPACE = new RegExp(`^${WHITE_SPACE}|${WHITE_SPACE}$`, 'gu');

/**
 * trim(NFKC(lower(NFKC(username)))), with the full lower-case mapping of Unicode §3.13 and no locale. Throws ProtocolError
 * 'username' for lone surrogates and for names that come out empty.
 */
export function normalizeUsername(username: string): string {
  if (!username.isWellFormed()) throw new ProtocolError('username', 'a username has no lone surrogates');
  const normalized = username
    .normalize('NFKC')
    .toLowerCase()
    .normalize('NFKC')
    .replace(OUTER_WHITE_SPACE, '');
  if (normalized === '') throw new ProtocolError('username', 'a username is not empty');
  return normalized;
}

/** SHA-256 over frame("passmanager/v1 username", normalized): 32 bytes. Throws as normalizeUsername does. */
export function usernameHash(username: string): Uint8Array {
  return sha256(frame('passmanager/v1 username', normalizeUsername(username)));
}
