/** Backups: whether any are made, and how old the newest is. */
import { HOUR_MS, isSound, listBackups, OVERDUE_INTERVALS } from '../../server/backup_schedule.ts';
import { formatBytes } from '../table.ts';
import { type Check, failure, good, warning } from './check.ts';

/** A failure once a scheduled backup is overdue, as the server counts it. */
export const BACKUP_CHECKS: readonly Check[] = [
  {
    name: 'backup',
    look: async ({ config: { backup }, now }) => {
      if (backup === undefined)
        return warning(
          'the server makes none by itself',
          'Set PASSMANAGER_BACKUP_DIR and PASSMANAGER_BACKUP_PASSPHRASE_FILE, or run passmanager backup now and then.',
        );
      const advice = 'See the server’s log for “the scheduled backup failed”.';
      const files = await listBackups(backup.directory).catch(() => []);
      const sound = files.filter((file) => isSound(file, now));
      const [newest] = sound;
      if (newest === undefined) return failure(`there is none in ${backup.directory}`, advice);
      const hours = (now - newest.at.getTime()) / HOUR_MS;
      const text = `the newest is ${hours.toFixed(1)} hours old and has ${formatBytes(newest.bytes)}`;
      if (hours > OVERDUE_INTERVALS * backup.intervalHours) return failure(text, advice);
      const unsound = files.length - sound.length;
      return unsound === 0
        ? good(text)
        : warning(
            `${text}; ${unsound} files in ${backup.directory} are empty or dated in the future`,
            'Look at the clock of this machine, and remove these files: nothing deletes them.',
          );
    },
  },
];
