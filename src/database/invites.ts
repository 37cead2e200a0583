/** Invites: what lets one person in where registration is by invite. Their codes are kept nowhere. */
import { createHash, randomBytes } from 'node:crypto';
import type { Database } from './database.ts';

/** Random bytes of a code: 128 bits, written in base64url. */
const CODE_BYTES = 16;

/** Hexadecimal digits of a hash that name an invite. */
const ID_DIGITS = 12;

/** An invite as the database knows it. */
export interface InviteRow {
  /** The first 12 hexadecimal digits of the hash of its code. */
  readonly id: string;
  readonly state: 'open' | 'used' | 'expired';
  readonly createdAt: Date;
  readonly expiresAt: Date | null;
  readonly usedAt: Date | null;
}

/** What the table has of a code: its SHA-256, 32 bytes. */
export const inviteHash = (code: string): Buffer => createHash('sha256').update(code).digest();

/** Makes an invite that is good for so many seconds. Throws DatabaseFault. */
export async function createInvite(
  database: Pick<Database, 'writes'>,
  seconds: number,
): Promise<{ id: string; code: string; expiresAt: Date }> {
  const code = randomBytes(CODE_BYTES).toString('base64url');
  const codeHash = inviteHash(code);
  const { rows } = await database.writes.execute(
    'insert into invites (code_hash, expires_at) values ($1, clock_timestamp() + make_interval(secs => $2)) returning expires_at',
    [codeHash, seconds],
  );
  return {
    id: codeHash.toString('hex').slice(0, ID_DIGITS),
    code,
    expiresAt: rows[0]!.expires_at as Date,
  };
}

/** Deletes an invite by its code, used or not. Throws DatabaseFault. */
export async function forgetInvite(database: Pick<Database, 'writes'>, code: string): Promise<void> {
  await database.writes.execute('delete from invites where code_hash = $1', [inviteHash(code)]);
}

/** Every invite, the newest first. Throws DatabaseFault. */
export async function listInvites(database: Pick<Database, 'reads'>): Promise<InviteRow[]> {
  const { rows } = await database.reads.execute(
    `select substr(encode(code_hash, 'hex'), 1, ${ID_DIGITS}) as "id",
            case when used_at is not null then 'used' when expires_at < clock_timestamp() then 'expired' else 'open' end
              as "state",
            created_at as "createdAt", expires_at as "expiresAt", used_at as "usedAt"
       from invites order by created_at desc, code_hash`,
    [],
  );
  return rows as unknown as InviteRow[];
}

/**
 * Takes back the invite of an id that is open. False where there is none: a used one stays, since the account that it made
 * stays, too. Throws DatabaseFault.
 */
export async function revokeInvite(database: Pick<Database, 'writes'>, id: string): Promise<boolean> {
  const { rows } = await database.writes.execute(
    `delete from invites where substr(encode(code_hash, 'hex'), 1, ${ID_DIGITS}) = $1 and used_at is null
       returning code_hash`,
    [id],
  );
  return rows.length > 0;
}
