/**
 * Rotates the key that seals columns, while servers serve. A new key is staged first, and seals only once every server
 * has had time to learn of it; once every server has had time to learn that it seals, all values are sealed again under it, a
 * bite at a time. The key before stays, and only opens: a server that was away for long may still seal with it. Each step can be cut short, and the next run goes on.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { ColumnSealer } from './column_sealer.ts';
import type { Database } from './database.ts';
import { SEALED_TABLES, type SealedTable } from './sealed_columns.ts';
import { activateSealingKey, openServerKeys, type Random, stageSealingKey } from './server_keys.ts';

/** How many rows one transaction seals again. */
const BITE = 100;

/** How often a server looks whether its keys are still those of the database, in milliseconds. */
export const KEY_REFRESH_MS = 5_000;

/** How long every server gets to learn of a key, in milliseconds. */
const LEARN_MS = 3 * KEY_REFRESH_MS;

/** How often rows that others held are tried again before they are left to the next rotation. */
const PASSES = 20;

/** What a rotation tells while it runs. */
export type RotationStep =
  | { readonly step: 'staged'; readonly keyId: number; readonly recoveryCode: string }
  | { readonly step: 'active'; readonly keyId: number }
  | { readonly step: 'resealed'; readonly rows: number };

/**
 * Rotates the sealing key. `tell` gets the new recovery code as soon as it holds: the one before is void. Answers how
 * many rows were sealed again, and how many others held to the end. Throws KeyFileError and its kinds, DatabaseFault.
 */
export async function rotateSealingKey(options: {
  database: Database;
  keyFile: string;
  random: Random;
  tell: (step: RotationStep) => void;
  /** How long every server gets to learn of the staged key, and then that it seals. Default: three looks at the database. */
  learnMs?: number;
}): Promise<{ keyId: number; rows: number; left: number }> {
  const { database, keyFile, random, tell, learnMs = LEARN_MS } = options;
  const { id: keyId, recoveryCode } = await stageSealingKey({ database, keyFile, random });
  tell({ step: 'staged', keyId, recoveryCode });
  await delay(learnMs);
  await activateSealingKey(database, keyId);
  tell({ step: 'active', keyId });
  // Until then a server may seal under the key before, behind the back of what is sealed again.
  await delay(learnMs);
  const { sealer } = await openServerKeys({ database, keyFile, random });
  let rows = 0;
  for (let pass = 0; pass < PASSES; pass += 1) {
    for (const sealed of SEALED_TABLES) {
      rows += await resealTable(database, sealer, sealed, (done) =>
        tell({ step: 'resealed', rows: rows + done }),
      );
    }
    const left = await countUnderOtherKeys(database, sealer.currentId);
    if (left === 0) return { keyId, rows, left };
    await delay(250);
  }
  return { keyId, rows, left: await countUnderOtherKeys(database, sealer.currentId) };
}

/** How many rows hold a value under another sealing key than this one. Throws DatabaseFault. */
export async function countUnderOtherKeys(database: Database, keyId: number): Promise<number> {
  let count = 0;
  for (const sealed of SEALED_TABLES) {
    const { rows } = await database.reads.execute(
      `select count(*)::int as n from ${sealed.table} where ${underOther(sealed, '$1')}`,
      [keyIdBytes(keyId)],
    );
    count += rows[0]!.n as number;
  }
  return count;
}

/** Seals the rows of a table again that nobody else holds. Answers how many. */
async function resealTable(
  database: Database,
  sealer: ColumnSealer,
  sealed: SealedTable,
  tell: (rows: number) => void,
): Promise<number> {
  let done = 0;
  for (let after: string | null = null; ; ) {
    const bite = await database.transaction(async (transaction) => {
      const { rows } = await transaction.execute(
        `select ${[...sealed.named, ...sealed.columns].join(', ')} from ${sealed.table}
          where ($2::uuid is null or id > $2) and ${underOther(sealed, '$1')}
          order by id limit ${BITE} for no key update skip locked`,
        [keyIdBytes(sealer.currentId), after],
      );
      for (const row of rows) {
        const values = sealed.columns.map((column) => {
          const stored = row[column] as Buffer | null;
          if (stored === null) return null;
          const plaintext = sealer.open(sealed.table, column, sealed.rowId(row), stored);
          const again = sealer.seal(sealed.table, column, sealed.rowId(row), plaintext);
          plaintext.fill(0);
          return again;
        });
        const assignments = sealed.columns.map((column, index) => `${column} = $${index + 2}`);
        await transaction.execute(`update ${sealed.table} set ${assignments.join(', ')} where id = $1`, [
          row.id,
          ...values,
        ]);
      }
      return rows;
    });
    if (bite.length === 0) return done;
    done += bite.length;
    after = bite.at(-1)!.id as string;
    tell(done);
  }
}

/** The condition of rows with a value under another key than that of a parameter, the four bytes of its id. */
const underOther = ({ columns }: SealedTable, parameter: string): string =>
  `(${columns.map((column) => `substring(${column} from 1 for 4) <> ${parameter}`).join(' or ')})`;

function keyIdBytes(keyId: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(keyId);
  return bytes;
}
