/** Runs one check of the doctor. */
import { type Check, type CheckResult, runChecks, type Subject } from '../../src/cli/doctor/check.ts';
import { loadConfig } from '../../src/server/config.ts';

/** What is looked at: the configuration of these settings, without a database unless there is one in `more`. */
export function subjectOf(settings: Record<string, string> = {}, more: Partial<Subject> = {}): Subject {
  const config = loadConfig(settings);
  return {
    config,
    keyFile: `${config.dataDir}/key`,
    secretFiles: [],
    database: undefined,
    databaseProblem: '',
    url: undefined,
    now: Date.now(),
    ...more,
  };
}

/** What the check of a name finds. */
export async function look(checks: readonly Check[], name: string, subject: Subject): Promise<CheckResult> {
  const check = checks.find((each) => each.name === name);
  if (check === undefined) throw new Error(`there is no check ${name}`);
  return (await runChecks([check], subject))[0]!;
}
