import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { SERVER_FLAGS, serverProgram } from '../../../src/cli/commands/serve.ts';
import { COMPILE_CACHE } from '../../support/compile_cache.ts';
import { eventually } from '../../support/eventually.ts';

const root = new URL('../../../', import.meta.url);

describe('passmanager serve', function () {
  this.timeout(60_000);

  it('starts what npm start starts', () => {
    const { scripts } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8'));
    expect(scripts.start).to.equal(`exec node ${SERVER_FLAGS.join(' ')} dist/src/server/main.js`);
    expect(existsSync(serverProgram())).to.equal(true);
  });

  it('is the server, in the same process, until it is told to stop', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'pm-serve-'));
    const main = fileURLToPath(new URL('src/cli/main.ts', root));
    const child = spawn(process.execPath, [main, 'serve'], {
      env: {
        ...COMPILE_CACHE,
        PASSMANAGER_DATA_DIR: directory,
        PASSMANAGER_GRPC_PORT: '0',
        PASSMANAGER_HTTP_PORT: '0',
      },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    try {
      await eventually(() => said.includes('passmanager is ready'), 30_000);
      const commandLine = readFileSync(`/proc/${child.pid}/cmdline`, 'utf8');
      for (const flag of SERVER_FLAGS) expect(commandLine).to.include(flag);
    } finally {
      const closed = once(child, 'close');
      child.kill('SIGTERM');
      expect((await closed)[0]).to.equal(0);
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
