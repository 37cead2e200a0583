/** A change of the password as the database has it: in the user's row, in the session of the change, and beside old bytes. */
import type { Transaction } from './database.ts';
import { CLOSE_CHANGE, DELETE_CHANGE_SESSIONS, DROP_NEW_BYTES } from './password_change_statements.ts';

/**
 * Ends the change of a user whose row `transaction` has locked, and drops all that is new. Answers the ids of the sessions
 * that it ended. Throws DatabaseFault.
 */
export async function closeChange(transaction: Transaction, userId: string): Promise<string[]> {
  await transaction.execute(CLOSE_CHANGE, [userId]);
  await transaction.execute(DROP_NEW_BYTES, [userId]);
  const { rows } = await transaction.execute(DELETE_CHANGE_SESSIONS, [userId]);
  return rows.map(({ id }) => id as string);
}
