/** Backups: whether any are made, what came of the last, and how old the newest is. */
import { lastEventAt } from '../../database/audit_log.ts';
import { isForeignSchemaError } from '../../database/sqlstate.ts';
import {
  type BackupStatus,
  HOUR_MS,
  isSound,
  listBackups,
  OVERDUE_INTERVALS,
} from '../../server/backup_schedule.ts';
import type { BackupSettings } from '../../server/config.ts';
import { formatBytes } from '../table.ts';
import { type Check, type Finding, failure, good, type Subject, warning } from './check.ts';
import { readinessOf } from './doors.ts';

/** Who backs up by a timer of their own does so once a week at least, in hours with one to spare. */
const OWN_BACKUP_HOURS = 8 * 24;

/** What to do about a schedule that failed, by what failed of it. */
export const BACKUP_ADVICE = {
  backup: 'See the server’s log for “the scheduled backup failed”: it says why.',
  command:
    'See the server’s log for “the command after the scheduled backup failed”, and run that command with the path of a backup.',
} as const;

/** A failure once a scheduled backup is overdue, as the server counts it, or failed, as the server says. */
export const BACKUP_CHECKS: readonly Check[] = [
  {
    name: 'backup',
    look: (subject) =>
      subject.config.backup === undefined ? ownBackup(subject) : scheduled(subject.config.backup, subject),
  },
];

/** Backups that the operator makes; the audit log has them. */
async function ownBackup({ database, now }: Subject): Promise<Finding> {
  // Without this version's tables nothing is known; the check of the schema says so.
  const unknown = (error: unknown): undefined => {
    if (!isForeignSchemaError(error)) throw error;
  };
  const at =
    database === undefined ? undefined : await lastEventAt(database.reads, 'backup made').catch(unknown);
  if (at === undefined)
    return warning(
      'none was made, and the server makes none by itself',
      'Set PASSMANAGER_BACKUP_DIR and PASSMANAGER_BACKUP_PASSPHRASE_FILE, or run npx passmanager backup now and then.',
    );
  const hours = (now - at.getTime()) / HOUR_MS;
  const text = `the server makes none by itself; the last was made ${hours.toFixed(1)} hours ago`;
  return hours <= OWN_BACKUP_HOURS
    ? good(text)
    : warning(text, 'Run npx passmanager backup once a week at least, by a timer perhaps.');
}

async function scheduled(backup: BackupSettings, { config, url, now }: Subject): Promise<Finding> {
  const files = await listBackups(backup.directory).catch(() => []);
  const sound = files.filter((file) => isSound(file, now));
  const [newest] = sound;
  const hours = newest === undefined ? Number.POSITIVE_INFINITY : (now - newest.at.getTime()) / HOUR_MS;
  const text =
    newest === undefined
      ? `there is none in ${backup.directory}`
      : `the newest is ${hours.toFixed(1)} hours old and has ${formatBytes(newest.bytes)}`;
  const last = await readinessOf(config, url).then(
    ({ body }) => (body.backup as BackupStatus | undefined)?.last,
    () => undefined,
  );
  if (last === 'backup failed') return failure(`the last one failed; ${text}`, BACKUP_ADVICE.backup);
  if (last === 'command failed')
    return failure(`the command after the last one failed; ${text}`, BACKUP_ADVICE.command);
  if (hours > OVERDUE_INTERVALS * backup.intervalHours) return failure(text, BACKUP_ADVICE.backup);
  const unsound = files.length - sound.length;
  return unsound === 0
    ? good(text)
    : warning(
        `${text}; ${unsound} files in ${backup.directory} are empty or dated in the future`,
        'Look at the clock of this machine, and remove these files: nothing deletes them.',
      );
}
