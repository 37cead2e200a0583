import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { serverProcess } from '../../../src/cli/doctor/server_process.ts';
import { lockDataDirectory } from '../../../src/database/embedded/data_directory_lock.ts';
import { remove, temporaryDirectory } from '../../support/embedded.ts';

const LOCK = new URL('../../../src/database/embedded/data_directory_lock.ts', import.meta.url);

describe('the process of the server', function () {
  this.timeout(60_000);
  const directory = temporaryDirectory();

  after(() => remove(directory));

  it('is none where nothing is locked, and not this process', () => {
    expect(serverProcess('/nonexistent')).to.equal(undefined);
    const release = lockDataDirectory(directory);
    expect(serverProcess(directory)).to.equal(undefined);
    release();
    expect(serverProcess(directory)).to.equal(undefined);
  });

  it('is the one that holds the lock of the data directory', async () => {
    const program = `import { lockDataDirectory } from '${LOCK}'; lockDataDirectory('${directory}'); console.log('locked'); setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    const found = serverProcess(directory);
    const isListed = readFileSync('/proc/locks', 'utf8').includes(` ${child.pid} `);
    child.kill('SIGKILL');
    await once(child, 'exit');
    // Not every kernel lists the locks of others.
    expect(found).to.equal(isListed ? child.pid : undefined);
    expect(serverProcess(directory)).to.equal(undefined);
  });
});
