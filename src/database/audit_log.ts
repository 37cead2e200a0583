/**
 * The audit log: what changed about accounts and the server, when, and of which account; never how often somebody logs in,
 * from where, or what is in a vault. Events of an RPC are written in its transaction.
 */
import type { Executor, Row } from './database.ts';

/** Everything that is recorded. */
export const AUDIT_EVENTS = [
  'account registered',
  'username changed',
  'password changed',
  'account deleted',
  'account deleted by command',
  'quota set',
  'invite made',
  'invite revoked',
  'recovery code made',
  'key file recovered',
  'sealing key rotated',
  'backup made',
  'backup restored',
] as const;
/** The name of an event. */
export type AuditEventName = (typeof AUDIT_EVENTS)[number];

/** An event as it is shown. */
export interface AuditRow extends Row {
  readonly at: Date;
  readonly event: string;
  readonly userId: string | null;
}

/** Records an event. Throws DatabaseFault. */
export async function recordEvent(
  database: Pick<Executor, 'execute'>,
  event: AuditEventName,
  userId: string | null = null,
): Promise<void> {
  await database.execute('insert into audit_events (event, user_id) values ($1, $2)', [event, userId]);
}

/** When an event was last recorded; undefined: it is not in the log. Throws DatabaseFault. */
export async function lastEventAt(
  database: Pick<Executor, 'execute'>,
  event: AuditEventName,
): Promise<Date | undefined> {
  const { rows } = await database.execute('select max(at) as at from audit_events where event = $1', [event]);
  return (rows[0]?.at as Date | null | undefined) ?? undefined;
}

/** The events of the last `seconds`, the oldest first. Throws DatabaseFault. */
export async function readEvents(database: Pick<Executor, 'execute'>, seconds: number): Promise<AuditRow[]> {
  const { rows } = await database.execute(
    `select at, event, user_id as "userId" from audit_events
      where at > clock_timestamp() - make_interval(secs => $1) order by at, id`,
    [seconds],
  );
  return rows as unknown as AuditRow[];
}

/** Drops events that are older than a year, at most $1. Rows: those that went. */
export const DELETE_OLD_EVENTS = `delete from audit_events where id in (
  select id from audit_events where at < now() - interval '1 year' limit $1 for update skip locked
) returning id`;
