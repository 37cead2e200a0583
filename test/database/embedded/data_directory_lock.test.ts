import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readdirSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect } from 'chai';
import { lockDataDirectory } from '../../../src/database/embedded/data_directory_lock.ts';
import { DataDirectoryInUseError, EmbeddedPostgresError } from '../../../src/database/embedded/errors.ts';
import { remove, temporaryDirectory } from '../../support/embedded.ts';

describe('the lock of a data directory', () => {
  let directory: string;

  beforeEach(() => {
    directory = temporaryDirectory();
  });

  const children: ChildProcess[] = [];

  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
    remove(directory);
  });

  /** Another process that takes the lock and says whether it got it. */
  async function other(): Promise<{ said: string; kill(): Promise<unknown> }> {
    const module = new URL('../../../src/database/embedded/data_directory_lock.ts', import.meta.url);
    const program = `
      import { lockDataDirectory } from ${JSON.stringify(module.href)};
      try { lockDataDirectory(process.argv[1]); console.log('locked'); setInterval(() => {}, 1000); }
      catch (error) { console.log(error.name); }`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program, directory], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    const ended = once(child, 'exit');
    const [said] = await once(child.stdout.setEncoding('utf8'), 'data');
    return {
      said: said.trim(),
      kill: () => {
        child.kill('SIGKILL');
        return ended;
      },
    };
  }

  it('is refused while this process has it, also under another name of the directory', () => {
    const release = lockDataDirectory(directory);
    expect(() => lockDataDirectory(directory)).to.throw(DataDirectoryInUseError);
    renameSync(directory, `${directory}-moved`);
    expect(() => lockDataDirectory(`${directory}-moved`)).to.throw(DataDirectoryInUseError);
    renameSync(`${directory}-moved`, directory);
    release();
    lockDataDirectory(directory)();
  });

  it('is refused while another process has it, and free once that was killed', async () => {
    const holder = await other();
    expect(holder.said).to.equal('locked');
    expect(() => lockDataDirectory(directory)).to.throw(DataDirectoryInUseError);
    await holder.kill();
    const release = lockDataDirectory(directory);
    const refused = await other();
    expect(refused.said).to.equal('DataDirectoryInUseError');
    await refused.kill();
    release();
  });

  it('goes to one of many that want it at once', async () => {
    const all = await Promise.all(Array.from({ length: 4 }, other));
    expect(all.filter(({ said }) => said === 'locked')).to.have.length(1);
    await Promise.all(all.map(({ kill }) => kill()));
  });

  it('is kept by one that forgot how to release it', async () => {
    lockDataDirectory(directory);
    setFlagsFromString('--expose-gc');
    const collect: () => void = runInNewContext('gc');
    for (let round = 0; round < 3; round += 1) {
      collect();
      await new Promise((resolve) => setImmediate(resolve));
    }
    const refused = await other();
    expect(refused.said).to.equal('DataDirectoryInUseError');
  });

  it('is refused with another error where its file cannot be made', () => {
    mkdirSync(join(directory, 'lock'));
    expect(() => lockDataDirectory(directory))
      .to.throw(EmbeddedPostgresError)
      .with.property('name', 'EmbeddedPostgresError');
  });

  it('leaves one empty file for its owner alone', () => {
    chmodSync(directory, 0o755);
    const release = lockDataDirectory(directory);
    expect(readdirSync(directory)).to.deep.equal(['lock']);
    const { size, mode } = statSync(join(directory, 'lock'));
    expect([size, mode & 0o777]).to.deep.equal([0, 0o600]);
    release();
    release();
    expect(readdirSync(directory)).to.deep.equal(['lock']);
  });
});
