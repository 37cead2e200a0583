import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { expect } from 'chai';
import { type BackupWorld, createBackupWorld, PASSPHRASE } from '../../support/backup_world.ts';
import { runCli } from '../../support/cli.ts';
import { databaseUrl } from '../../support/test_server.ts';

describe('passmanager backup', function () {
  this.timeout(60_000);
  let world: BackupWorld;

  before(async () => {
    world = await createBackupWorld();
    writeFileSync(world.at('passphrase'), `${PASSPHRASE}\n`);
    writeFileSync(world.at('other'), 'another horse battery\n');
    writeFileSync(world.at('short'), 'short\n');
  });

  after(() => world.drop());

  const run = (...parameters: string[]) =>
    runCli(['backup', ...parameters], {
      PASSMANAGER_DATABASE_URL: databaseUrl(world.database),
      PASSMANAGER_KEY_FILE: world.keyFile,
      PASSMANAGER_DATA_DIR: world.at('data'),
    });
  const withPassphrase = (name = 'passphrase') => ['--passphrase-file', world.at(name)];

  it('refuses without a file or a passphrase, which is no argument, and with one that is too short', async () => {
    expect(await run()).to.include({ code: 64 });
    expect(await run(world.at('a'))).to.include({ code: 64 });
    expect(await run('verify', world.at('a'))).to.include({ code: 64 });
    expect(await run(world.at('a'), '--passphrase', 'x')).to.include({ code: 64 });
    const short = await run(world.at('a'), ...withPassphrase('short'));
    expect(short.code).to.equal(1);
    expect(short.notes).to.contain('12 characters');
    expect(existsSync(world.at('a'))).to.equal(false);
  });

  it('refuses a place where no file can be, and leaves nothing there', async () => {
    mkdirSync(world.at('directory'));
    for (const place of [world.at('nonexistent/x'), world.at('directory')]) {
      const { code, notes } = await run(place, ...withPassphrase());
      expect(code, place).to.equal(1);
      expect(notes).to.include(place).and.not.to.include('    at ');
      expect(existsSync(`${place}.part`)).to.equal(false);
    }
  });

  it('refuses to verify what is no backup, damaged, or of another passphrase, with the reason', async () => {
    expect((await run('verify', world.at('passphrase'), ...withPassphrase())).notes).to.contain('no backup');
    await run(world.at('b'), ...withPassphrase());
    const wrong = await run('verify', world.at('b'), ...withPassphrase('other'));
    expect(wrong.code).to.equal(1);
    expect(wrong.notes).to.contain('passphrase is not');
  });

  it('backs up and verifies, and prints what is in the file', async () => {
    const made = await run(world.at('c'), ...withPassphrase(), '--json');
    expect(made.code).to.equal(0);
    const report = JSON.parse(made.out);
    expect(report).to.include({ file: world.at('c'), bytes: statSync(world.at('c')).size });
    expect(report.tables).to.deep.include({ table: 'secure_data', rows: 10 });
    const verified = await run('verify', world.at('c'), ...withPassphrase());
    expect(verified.code, verified.notes).to.equal(0);
    expect(verified.out)
      .to.match(/secure_data +10 +[0-9a-f]{16}/)
      .and.to.contain('is whole');
    expect((await run(world.at('c'), ...withPassphrase())).out).to.contain('KiB in');
  });
});
