/** The doors from the client's side: whether they answer, and whether a vault can be used through them. */
import { randomBytes, randomUUID } from 'node:crypto';
import { logIn, registerUser } from '../../client/node.ts';
import type { Database } from '../../database/database.ts';
import { createInvite, forgetInvite } from '../../database/invites.ts';
import { BACKUP_WARNINGS } from '../../server/backup_schedule.ts';
import { WRITES_REFUSED } from '../../server/readiness.ts';
import { BACKUP_ADVICE } from './backup_checks.ts';
import { type Check, type Finding, failure, good, type Subject, skipped, warning } from './check.ts';
import { type DoorClient, getFromDoor, grpcDoor, httpDoor, readinessOf } from './doors.ts';

const NOT_RUNNING =
  'Start the server (npm start, systemctl start passmanager) with the same configuration, and see its log.';

/** Seconds for which an invite of the doctor is good. */
const INVITE_SECONDS = 120;

/** Those of round trips make an account of their own, and delete it. */
export const DOOR_CHECKS: readonly Check[] = [
  {
    name: 'http_door',
    look: async ({ config, url }) => {
      try {
        const { status, body } = await getFromDoor(config, url, '/healthz');
        return status === 200 && body.includes('alive')
          ? good(`${httpDoor(config, url).url} answers`)
          : failure(
              `${httpDoor(config, url).url} answers ${status}, and not as this server does`,
              'See what listens there: another program, or a proxy that does not pass the path on.',
            );
      } catch (error) {
        return failure(`${httpDoor(config, url).url}: ${(error as Error).message}`, NOT_RUNNING);
      }
    },
  },
  {
    name: 'readiness',
    look: async ({ config, url }) => {
      const answer = await readinessOf(config, url).catch(() => undefined);
      if (answer === undefined) return skipped('the HTTP door does not answer');
      const { status, warning: told } = answer.body;
      if (answer.status !== 200 || status !== 'ready')
        return failure(
          `the server is not ready (${status ?? answer.status})`,
          'Its database does not answer: see its log.',
        );
      return typeof told === 'string' ? warning(told, adviceFor(told)) : good('ready');
    },
  },
  {
    name: 'grpc_door',
    look: async ({ config, url }) => {
      const door = grpcDoor(config, url);
      const { transport, close } = await door.transport();
      try {
        // A log-in of a name that nobody has is refused by the server itself, whoever is in between.
        const error = await logIn(transport, {
          username: doctorName(),
          password: randomBytes(16).toString('hex'),
          maximumRequests: 1,
        }).then(
          () => undefined,
          (reason: Error) => reason,
        );
        return error?.name === 'WrongCredentialsError'
          ? good(`${door.url} answers`)
          : failure(`${door.url}: ${error?.message ?? 'lets anybody in'}`, NOT_RUNNING);
      } finally {
        close();
      }
    },
  },
  {
    name: 'grpc_round_trip',
    look: (subject) => roundTrip(grpcDoor(subject.config, subject.url), subject),
  },
  {
    name: 'connect_round_trip',
    look: (subject) => roundTrip(httpDoor(subject.config, subject.url), subject),
  },
];

/** What to do about what the server warns of. */
function adviceFor(told: string): string {
  const known = [
    [WRITES_REFUSED, 'Make room on the disk of the database, or see why it is read-only.'],
    [BACKUP_WARNINGS.backup, BACKUP_ADVICE.backup],
    [BACKUP_WARNINGS.command, BACKUP_ADVICE.command],
    [BACKUP_WARNINGS.overdue, BACKUP_ADVICE.backup],
  ] as const;
  const advice = known.flatMap(([text, what]) => (told.includes(text) ? [what] : []));
  return advice.length === 0 ? 'See the server’s log.' : advice.join(' ');
}

/** A name under the doctor's own prefix, in a domain that nobody has (RFC 2606 §2). */
const doctorName = (): string => `doctor-${randomUUID()}@passmanager.invalid`;

/** Registers an account of its own, writes an entry, reads it, and deletes the account with what the audit log has of it. */
async function roundTrip(door: DoorClient, { config, database, url }: Subject): Promise<Finding> {
  if (config.registration === 'closed')
    return skipped('registration is closed: there is no account to try it with');
  if (config.registration === 'invite' && database === undefined)
    return skipped('registration is by invite, and the database for one was not reached');
  const invite = config.registration === 'invite' ? await createInvite(database!, INVITE_SECONDS) : undefined;
  const { transport, close } = await door.transport();
  const [username, password] = [doctorName(), randomBytes(16).toString('hex')];
  const begin = performance.now();
  let isRegistered = false;
  let userId: string | undefined;
  try {
    // A door in clear text on another address is what the operator wanted; the check of clear_text says so.
    await registerUser(transport, {
      username,
      password,
      allowInsecure: url === undefined,
      ...(invite === undefined ? {} : { inviteCode: invite.code }),
    });
    isRegistered = true;
    const vault = await logIn(transport, { username, password });
    try {
      const session = (await vault.listSessions()).find(({ current }) => current);
      userId = await ownerOf(session?.id, database);
      const text = randomUUID();
      const { id } = await vault.create({ name: 'doctor', password: text });
      const read = await vault.get(id);
      if (read.password !== text)
        return failure(`${door.url}: an entry came back changed`, 'Stop the server and restore a backup.');
    } finally {
      await vault.deleteAccount({ password });
      isRegistered = false;
      vault.close();
    }
    return good(
      `${door.url}: registered, wrote, read, deleted in ${Math.round(performance.now() - begin)} ms`,
    );
  } catch (error) {
    const left = isRegistered ? '; its throw-away account is left behind' : '';
    return failure(`${door.url}: ${(error as Error).message}${left}`, NOT_RUNNING);
  } finally {
    close();
    if (userId !== undefined && !isRegistered)
      await database!.writes.execute('delete from audit_events where user_id = $1', [userId]);
    if (invite !== undefined) await forgetInvite(database!, invite.code);
  }
}

/** Whose session it is; undefined where the database does not know. */
async function ownerOf(
  sessionId: string | undefined,
  database: Database | undefined,
): Promise<string | undefined> {
  if (sessionId === undefined || database === undefined) return undefined;
  const { rows } = await database.reads.execute('select user_id from login_sessions where id = $1', [
    sessionId,
  ]);
  return rows[0]?.user_id as string | undefined;
}
