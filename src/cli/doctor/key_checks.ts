/** The server's keys, the file that opens them, and the code that replaces a lost file. */
import { stat } from 'node:fs/promises';
import { countUnderOtherKeys } from '../../database/key_rotation.ts';
import { readKeyStatus } from '../../database/server_keys.ts';
import { type Check, closedOrMissing, databaseCheck, failure, good, OTHER_USER, warning } from './check.ts';

/** A failure is what the server does not start with. */
export const KEY_CHECKS: readonly Check[] = [
  {
    name: 'key_file',
    look: async ({ keyFile }) => {
      const found = await stat(keyFile).catch(closedOrMissing);
      if (found === 'closed')
        return failure(`${keyFile} is closed to this user, whether it is there or not`, OTHER_USER);
      if (found === undefined)
        return failure(
          `${keyFile} is missing: the server does not start without it`,
          'Restore it from its backup, or make it again with npx passmanager keys recover.',
        );
      const mode = found.mode & 0o777;
      return (mode & 0o077) === 0
        ? good(`${keyFile}, mode ${mode.toString(8)}`)
        : failure(`${keyFile} is open to other users (mode ${mode.toString(8)})`, `Run chmod 600 ${keyFile}`);
    },
  },
  databaseCheck('server_keys', async (database, { keyFile }) => {
    const { opens, reason, keys } = await readKeyStatus({ database, keyFile });
    if (keys.length === 0) return failure('there are no server keys yet', 'Start the server once: npm start');
    return opens
      ? good(`${keys.length} keys, all opened by the key file`)
      : failure(reason ?? 'they do not open', 'Restore the key file, or run npx passmanager keys recover.');
  }),
  databaseCheck('key_rotation', async (database, { keyFile }) => {
    const { keys } = await readKeyStatus({ database, keyFile });
    const advice = 'Run npx passmanager keys rotate, which goes on where it was cut short.';
    if (keys.some(({ state }) => state === 'staged')) return warning('a rotation was cut short', advice);
    const sealing = keys.find(({ purpose, state }) => purpose === 'sealing' && state === 'active');
    const rows = sealing === undefined ? 0 : await countUnderOtherKeys(database, sealing.id);
    return rows === 0
      ? good('every row is sealed under the key of today')
      : warning(`${rows} rows are sealed under an earlier key`, advice);
  }),
  databaseCheck('recovery_code', async (database, { keyFile }) => {
    const { hasRecoveryCode } = await readKeyStatus({ database, keyFile });
    return hasRecoveryCode
      ? good('one was made; keep it away from this machine')
      : warning(
          'none was made: whoever loses the key file loses every vault',
          'Run npx passmanager keys recovery-code and keep what it shows away from this machine.',
        );
  }),
];
