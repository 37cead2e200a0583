/** What a check of the doctor is, and how checks are run. */
import type { Database } from '../../database/database.ts';
import { isForeignSchemaError } from '../../database/sqlstate.ts';
import type { Config } from '../../server/config.ts';

/** Good, worth a look, broken, or not looked at since there was nothing to look at. */
export type CheckState = 'good' | 'warning' | 'failure' | 'skipped';

/** What a check found. `advice`: what to do; empty where there is nothing to do. */
export interface Finding {
  readonly state: CheckState;
  readonly detail: string;
  readonly advice: string;
}

/** A finding with the name of its check. */
export interface CheckResult extends Finding {
  readonly name: string;
}

/** What is looked at. */
export interface Subject {
  readonly config: Config;
  /** Of the key file in force. */
  readonly keyFile: string;
  /** The files that secret settings were read from. */
  readonly secretFiles: readonly string[];
  /** None: it could not be opened. */
  readonly database: Database | undefined;
  /** Why there is no database; empty where nobody knows. */
  readonly databaseProblem: string;
  /** The address at which clients reach the server, where it is another than the doors' own. */
  readonly url: string | undefined;
  /** The time, in milliseconds since 1970. */
  readonly now: number;
}

/** One thing that is looked at. It changes nothing that stays. */
export interface Check {
  /** Of words with underscores, stable from version to version. */
  readonly name: string;
  look(subject: Subject): Promise<Finding> | Finding;
}

/** Nothing is to be done. */
export const good = (detail: string): Finding => ({ state: 'good', detail, advice: '' });
/** Worth a look; `advice` says what to do. */
export const warning = (detail: string, advice: string): Finding => ({ state: 'warning', detail, advice });
/** Broken; `advice` says what to do. */
export const failure = (detail: string, advice: string): Finding => ({ state: 'failure', detail, advice });
/** Not looked at; `detail` says why. */
export const skipped = (detail: string): Finding => ({ state: 'skipped', detail, advice: '' });

/** What to do about files of the server that another user looks for. */
export const OTHER_USER = 'Run the doctor as the user that the server runs as, or as root.';

/** Why a file was not found: it may be there where this user may not look. */
export const closedOrMissing = ({ code }: NodeJS.ErrnoException): 'closed' | undefined =>
  code === 'EACCES' ? 'closed' : undefined;

/** How long one check may take, in milliseconds. */
const PATIENCE_MS = 20_000;

/** A check of the database: skipped where there is none, or other tables than this version's, of which `schema` tells. */
export function databaseCheck(
  name: string,
  look: (database: Database, subject: Subject) => Promise<Finding>,
): Check {
  return {
    name,
    look: async (subject) => {
      if (subject.database === undefined) return skipped('the database was not reached');
      try {
        return await look(subject.database, subject);
      } catch (error) {
        if (isForeignSchemaError(error))
          return skipped('the tables are not those of this version: see schema');
        throw error;
      }
    },
  };
}

/** Runs checks one after another. What one throws, or its silence, is a failure of that one. */
export async function runChecks(
  checks: readonly Check[],
  subject: Subject,
  tell: (result: CheckResult) => void = () => {},
  patienceMs = PATIENCE_MS,
): Promise<CheckResult[]> {
  const results: CheckResult[] = [];
  for (const { name, look } of checks) {
    let timer: NodeJS.Timeout | undefined;
    const silence = new Promise<Finding>((resolve) => {
      timer = setTimeout(
        () =>
          resolve(
            failure(`no answer within ${patienceMs / 1_000} s`, 'See whether the machine is overloaded.'),
          ),
        patienceMs,
      );
    });
    const finding = await Promise.race([
      (async () => look(subject))().catch((error: unknown) =>
        failure(error instanceof Error ? error.message : String(error), 'See the message.'),
      ),
      silence,
    ]);
    clearTimeout(timer);
    const result = { name, ...finding };
    results.push(result);
    tell(result);
  }
  return results;
}

/** What the command ends with: 0 all is good, 1 warnings, 2 failures. */
export function exitCodeOf(results: readonly CheckResult[]): 0 | 1 | 2 {
  if (results.some(({ state }) => state === 'failure')) return 2;
  return results.some(({ state }) => state === 'warning') ? 1 : 0;
}
