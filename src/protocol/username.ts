/**
 * From what a person types as a username to the 32 bytes that the server is told. Two spellings that look alike to the
 * person give one name: compatibility forms (NFKC, UAX #15), case (full toLowercase with the final-sigma rule, Unicode
 * §3.13, no locale) and surrounding white space do not count.
 */
import { frame, sha256 } from './bytes.ts';
import { ProtocolError } from './errors.ts';

/**
 * The White_Space property (PropList.txt). String.prototype.trim strips another set: it takes U+FEFF and leaves U+0085.
 */
function isWhiteSpace(code: number): boolean {
  return (
    (code >= 0x0009 && code <= 0x000d) ||
    code === 0x0020 ||
    code === 0x0085 ||
    code === 0x00a0 ||
    code === 0x1680 ||
    (code >= 0x2000 && code <= 0x200a) ||
    code === 0x2028 ||
    code === 0x2029 ||
    code === 0x202f ||
    code === 0x205f ||
    code === 0x3000
  );
}

function trimWhiteSpace(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isWhiteSpace(text.charCodeAt(start))) start++;
  while (end > start && isWhiteSpace(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

/**
 * `trim(NFKC(lower(NFKC(username))))`. Throws 'not Unicode' for a lone surrogate and 'empty username' when nothing is
 * left.
 */
export function normalizeUsername(username: string): string {
  if (!username.isWellFormed()) throw new ProtocolError('not Unicode', 'the username holds a lone surrogate');
  const name = trimWhiteSpace(username.normalize('NFKC').toLowerCase().normalize('NFKC'));
  if (name === '') throw new ProtocolError('empty username', 'nothing is left of the username');
  return name;
}

/**
 * The pseudonym of a name, 32 bytes: all that a server ever learns of it. Throws as `normalizeUsername`.
 */
export function usernameHash(username: string): Uint8Array {
  return sha256(frame('passmanager/v1 username', normalizeUsername(username)));
}
