import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { OTHER_USER } from '../../../src/cli/doctor/check.ts';
import { MACHINE_CHECKS } from '../../../src/cli/doctor/machine_checks.ts';
import { look, subjectOf } from '../../support/doctor.ts';
import { closedTo, remove, temporaryDirectory } from '../../support/embedded.ts';

describe('the checks of the machine', () => {
  const directory = temporaryDirectory();
  const dataDir = join(directory, 'data');
  const subject = subjectOf({ PASSMANAGER_DATA_DIR: dataDir });
  const check = (name: string, settings: Record<string, string> = {}) =>
    look(MACHINE_CHECKS, name, subjectOf({ PASSMANAGER_DATA_DIR: dataDir, ...settings }));

  after(() => remove(directory));

  it('find a data directory that is missing or open to others', async () => {
    expect(await check('data_directory')).to.include({ state: 'failure' });
    mkdirSync(dataDir, { mode: 0o755 });
    chmodSync(dataDir, 0o755);
    const open = await check('data_directory');
    expect(open.state).to.equal('warning');
    expect(open.advice).to.contain(`chmod 700 ${dataDir}`);
    chmodSync(dataDir, 0o700);
    expect(await check('data_directory')).to.include({ state: 'good', advice: '' });
  });

  it('find a data directory that is closed to this user', async () => {
    const found = await closedTo(directory, () => check('data_directory'));
    expect(found).to.include({ state: 'failure', advice: OTHER_USER });
  });

  it('find a database of an earlier major version that is kept', async () => {
    expect(await check('earlier_database')).to.include({ state: 'good' });
    const kept = join(dataDir, 'postgres', 'data.postgresql-17');
    mkdirSync(kept, { recursive: true });
    const found = await check('earlier_database');
    expect(found.state).to.equal('warning');
    expect(found.advice).to.contain(`rm -r ${kept}`);
    rmSync(kept, { recursive: true });
  });

  it('find too few file descriptors for the connections that are allowed', async () => {
    expect((await check('file_descriptors', { PASSMANAGER_MAX_CONNECTIONS: '1000000' })).state).to.be.oneOf([
      'warning',
      'skipped',
    ]);
    const few = await check('file_descriptors', { PASSMANAGER_MAX_CONNECTIONS: '1' });
    expect(few.state).to.be.oneOf(['good', 'skipped']);
    // No server holds this data directory.
    if (few.state === 'good') expect(few.detail).to.contain('not found');
  });

  it('say the versions of Node and of what it depends on', async () => {
    expect(await check('node_version')).to.include({
      state: 'good',
      detail: `Node ${process.versions.node}`,
    });
    expect((await check('dependency_floors')).detail).to.match(/^@grpc\/grpc-js 1\.\d+\.\d+$/);
  });

  it('look at disk, memory and user, whatever they are here', async () => {
    for (const name of ['disk_space', 'disk_files', 'memory', 'process_user']) {
      const { state, detail } = await look(MACHINE_CHECKS, name, subject);
      expect(state).to.be.oneOf(['good', 'warning', 'failure', 'skipped']);
      expect(detail).not.to.equal('');
    }
  });
});
