/** Backups that the server makes by itself, now and then, of which it keeps the newest. */
import { execFile } from 'node:child_process';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Place } from '../database/backup/backup.ts';
import { SYSTEM_PATH } from '../database/embedded/account.ts';
import type { BackupSettings } from './config.ts';
import type { Logger } from './log.ts';
import { Rounds } from './rounds.ts';

/** What came of the newest attempt. */
export interface BackupOutcome {
  readonly at: Date;
  readonly ok: boolean;
  /** What failed, where something did: the backup, or the command after it. */
  readonly failed?: 'backup' | 'command';
  /** Of the file; 0 where there is none. */
  readonly bytes: number;
  readonly milliseconds: number;
}

/** What /readyz tells of the schedule. */
export interface BackupStatus {
  /** What came of the newest attempt since the server's start. */
  readonly last: 'none' | 'made' | 'backup failed' | 'command failed';
  /** Whole seconds since the newest backup that is there was made; null: there is none. */
  readonly newestAgeSeconds: number | null;
}

/** The warnings of a schedule. */
export const BACKUP_WARNINGS = {
  backup: 'the last scheduled backup failed: see the log',
  command: 'the last scheduled backup was made, and the command after it failed: see the log',
  overdue: 'the scheduled backup is overdue: see the log',
} as const;

/** A backup in a directory. */
export interface BackupFile {
  readonly path: string;
  readonly at: Date;
  readonly bytes: number;
}

/** Milliseconds of an hour. */
export const HOUR_MS = 3_600_000;

/** How often it is looked whether a backup is due: clocks jump, machines sleep. In milliseconds. */
const LOOK_MS = 60_000;

/** How long after a failure the next attempt is. */
const RETRY_MS = HOUR_MS / 4;

/** How long the command after a backup may take. */
const COMMAND_MS = HOUR_MS;

const NAME = /^passmanager-(\d{4}-\d\d-\d\dT\d\d)-(\d\d)-(\d\d)Z\.pmbackup$/;

/**
 * Whether a file counts as a backup at `now`, in milliseconds since 1970: one of the future was dated by a clock that was
 * wrong, and an empty one holds nothing.
 */
export const isSound = ({ at, bytes }: BackupFile, now: number): boolean => at.getTime() <= now && bytes > 0;

/** When no backup was made for this many intervals, one is overdue. */
export const OVERDUE_INTERVALS = 2;

/** Makes backups in a directory, one whenever it is due, and deletes the oldest, but for files that only look like one. Failures are logged and warned of, not thrown. */
export class BackupSchedule {
  readonly #settings: BackupSettings;
  readonly #place: Place;
  readonly #log: Logger;
  readonly #now: () => number;
  readonly #intervalMs: number;
  readonly #startedAt: number;
  readonly #abort = new AbortController();
  /** The newest that is there, also from before this start. */
  #newest: BackupFile | undefined;
  #last: BackupOutcome | undefined;
  readonly #looks = new Rounds(() => this.run(), LOOK_MS);

  /** `now`: milliseconds since 1970. */
  constructor(settings: BackupSettings, parts: { place: Place; log: Logger; now?: () => number }) {
    this.#settings = settings;
    this.#place = parts.place;
    this.#log = parts.log;
    this.#now = parts.now ?? Date.now;
    this.#intervalMs = settings.intervalHours * HOUR_MS;
    this.#startedAt = this.#now();
  }

  /** Makes the directory, clears it of what was left unfinished, and from now on makes a backup whenever one is due. Throws where the directory cannot be made. */
  async start(): Promise<void> {
    await mkdir(this.#settings.directory, { recursive: true, mode: 0o700 });
    await this.#deleteUnfinished();
    [this.#newest] = await this.#listSound();
    this.#looks.start();
  }

  /** Ends the schedule; a backup that is being made is given up. */
  stop(): Promise<void> {
    this.#abort.abort();
    return this.#looks.stop();
  }

  /** Makes a backup if one is due, or runs the command again that failed after it. Never rejects. */
  async run(): Promise<void> {
    const begin = this.#now();
    const failedAt = this.#last?.ok === false ? this.#last.at.getTime() : undefined;
    if (failedAt === undefined ? !this.#isDue(begin) : begin - failedAt < RETRY_MS) return;
    const at = new Date(begin);
    let failed: 'backup' | 'command' = 'backup';
    try {
      const { path, bytes } = this.#isDue(begin) ? await this.#backUp(at) : this.#newest!;
      failed = 'command';
      await this.#runCommand(path);
      const milliseconds = this.#now() - begin;
      this.#last = { at, ok: true, bytes, milliseconds };
      this.#log.info({ bytes, milliseconds }, 'a backup was made');
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      this.#last = { at, ok: false, failed, bytes: 0, milliseconds: this.#now() - begin };
      this.#log.error(
        { err: error },
        failed === 'backup'
          ? 'the scheduled backup failed; another attempt follows in a quarter of an hour'
          : 'the command after the scheduled backup failed; it is run again in a quarter of an hour',
      );
    }
  }

  /** What came of the newest attempt since this start. */
  last(): BackupOutcome | undefined {
    return this.#last;
  }

  /** When the newest backup that is there was made. */
  newestAt(): Date | undefined {
    return this.#newest?.at;
  }

  /** What is worth a warning: a failure, or a backup that does not come. */
  warning(): string | undefined {
    if (this.#last?.failed !== undefined) return BACKUP_WARNINGS[this.#last.failed];
    const since = this.#newest?.at.getTime() ?? this.#startedAt;
    return this.#now() - since > OVERDUE_INTERVALS * this.#intervalMs ? BACKUP_WARNINGS.overdue : undefined;
  }

  /** How it stands, for everybody. */
  status(): BackupStatus {
    const failed = this.#last?.failed;
    const newest = this.#newest?.at.getTime();
    return {
      last: this.#last === undefined ? 'none' : failed === undefined ? 'made' : `${failed} failed`,
      newestAgeSeconds: newest === undefined ? null : Math.round((this.#now() - newest) / 1_000),
    };
  }

  #isDue(now: number): boolean {
    const newest = this.#newest?.at.getTime();
    // A clock that was put back must not put the next one off.
    return newest === undefined || now - newest >= this.#intervalMs || now < newest;
  }

  async #backUp(at: Date): Promise<BackupFile> {
    // Loaded by those alone who want it.
    const { makeBackup } = await import('../database/backup/backup.ts');
    const path = join(this.#settings.directory, fileName(at));
    const { bytes } = await makeBackup(this.#place, path, {
      passphrase: this.#settings.passphrase,
      signal: this.#abort.signal,
    });
    this.#newest = { path, at, bytes };
    await this.#deleteOld();
    return this.#newest;
  }

  /** Without a shell, and with nothing of this process's environment that could be secret. */
  async #runCommand(path: string): Promise<void> {
    if (this.#settings.command === undefined) return;
    await promisify(execFile)(this.#settings.command, [path], {
      timeout: COMMAND_MS,
      signal: this.#abort.signal,
      env: { PATH: SYSTEM_PATH },
    });
  }

  /** What a kill or a power cut left long ago, by the file system's clock. */
  async #deleteUnfinished(): Promise<void> {
    const { removeUnfinished } = await import('../database/backup/unfinished.ts');
    await removeUnfinished(this.#settings.directory, (name) => NAME.test(name));
  }

  async #deleteOld(): Promise<void> {
    await this.#deleteUnfinished();
    for (const { path } of (await this.#listSound()).slice(this.#settings.keep))
      await rm(path, { force: true });
  }

  async #listSound(): Promise<BackupFile[]> {
    const files = await listBackups(this.#settings.directory);
    return files.filter((file) => isSound(file, this.#now()));
  }
}

/** The backups that a schedule made in a directory, the newest first; other files are none. Throws what readdir does. */
export async function listBackups(directory: string): Promise<BackupFile[]> {
  const files: BackupFile[] = [];
  for (const name of await readdir(directory)) {
    const [, hour, minute, second] = NAME.exec(name) ?? [];
    if (hour === undefined) continue;
    const path = join(directory, name);
    const { size } = await stat(path);
    files.push({ path, at: new Date(`${hour}:${minute}:${second}Z`), bytes: size });
  }
  return files.sort((one, other) => other.at.getTime() - one.at.getTime());
}

/** `passmanager-2026-11-24T01-02-03Z.pmbackup`. */
function fileName(at: Date): string {
  return `passmanager-${at.toISOString().slice(0, 19).replaceAll(':', '-')}Z.pmbackup`;
}
