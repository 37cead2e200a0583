/**
 * The recovery code: 160 random bits as 32 characters of Crockford's base 32 (https://www.crockford.com/base32.html) and
 * its check symbol, in groups of four. 160 bits need no stretching: HKDF turns them into a key.
 */
import { hkdf } from '../protocol/bytes.ts';

const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** By the remainder of division by 37, a prime: no single wrong character and no swapped pair goes unnoticed. */
const CHECK_SYMBOLS = `${ALPHABET}*~$=U`;

/** Random bytes of a code. */
export const RECOVERY_CODE_BYTES = 20;
const CODE_CHARACTERS = 32;

/** A text that is no recovery code; says what was seen, never the code. */
export class RecoveryCodeError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'RecoveryCodeError';
  }
}

/** The code's text from 20 random bytes, `XXXX-XXXX-…-C`. */
export function formatRecoveryCode(secret: Uint8Array): string {
  if (secret.length !== RECOVERY_CODE_BYTES) throw new RangeError('a recovery code has 20 bytes');
  let bits = 0n;
  for (const byte of secret) bits = (bits << 8n) | BigInt(byte);
  const check = checkSymbol(bits);
  let characters = '';
  for (let index = CODE_CHARACTERS - 1; index >= 0; index -= 1) {
    characters += ALPHABET[Number((bits >> BigInt(5 * index)) & 31n)];
  }
  return `${characters.match(/.{4}/g)!.join('-')}-${check}`;
}

/** The 20 bytes of a code as a person typed it: any case, spaces or hyphens, O for 0 and I or L for 1. Throws RecoveryCodeError. */
export function parseRecoveryCode(text: string): Uint8Array {
  const typed = text.toUpperCase().replace(/[\s-]/g, '').replaceAll('O', '0').replace(/[IL]/g, '1');
  if (typed.length !== CODE_CHARACTERS + 1) {
    throw new RecoveryCodeError(
      `a recovery code has ${CODE_CHARACTERS + 1} characters, this has ${typed.length}`,
    );
  }
  let bits = 0n;
  for (const character of typed.slice(0, CODE_CHARACTERS)) {
    const value = ALPHABET.indexOf(character);
    if (value < 0) throw new RecoveryCodeError('a recovery code has digits and letters other than U');
    bits = (bits << 5n) | BigInt(value);
  }
  if (checkSymbol(bits) !== typed[CODE_CHARACTERS]) {
    throw new RecoveryCodeError('the last character does not fit the others: the code was mistyped');
  }
  const secret = new Uint8Array(RECOVERY_CODE_BYTES);
  for (let index = RECOVERY_CODE_BYTES - 1; index >= 0; index -= 1) {
    secret[index] = Number(bits & 255n);
    bits >>= 8n;
  }
  return secret;
}

/** The key that a code's 20 bytes give: 32 bytes. */
export function recoveryKey(secret: Uint8Array): Uint8Array {
  return hkdf(secret, 'passmanager/v1 recovery code');
}

function checkSymbol(bits: bigint): string {
  return CHECK_SYMBOLS[Number(bits % 37n)]!;
}
