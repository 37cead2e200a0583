import { expect } from 'chai';
import { type BackupWorld, contentsOf, createBackupWorld } from '../../support/backup_world.ts';
import { runCli } from '../../support/cli.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test_database.ts';
import { databaseUrl } from '../../support/test_server.ts';

describe('passmanager move-database', function () {
  this.timeout(30_000);
  let world: BackupWorld;
  let target: TestDatabase;

  before(async () => {
    world = await createBackupWorld();
    target = await createTestDatabase({ migrated: false });
  });

  after(async () => {
    await target.drop();
    await world.drop();
  });

  const run = (from: string, ...parameters: string[]) =>
    runCli(['move-database', ...parameters], {
      PASSMANAGER_DATABASE_URL: from,
      PASSMANAGER_KEY_FILE: world.keyFile,
      PASSMANAGER_DATA_DIR: world.at('data'),
    });

  it('refuses what is no database, and the one that is configured', async () => {
    for (const url of ['', 'mysql://x/y', 'somewhere'])
      expect(await run(databaseUrl(world.database), url)).to.include({ code: 64 });
    const same = await run(databaseUrl(world.database), databaseUrl(world.database));
    expect(same.code).to.equal(1);
    expect(same.notes).to.contain('configured already');
  });

  it('moves into the embedded database and on into another, says which setting comes next, and refuses to delete accounts', async () => {
    const there = await run(databaseUrl(world.database), 'embedded');
    expect(there.code, there.notes).to.equal(0);
    expect(there.out)
      .to.contain('Remove PASSMANAGER_DATABASE_URL')
      .and.to.match(/users +2/);
    const back = await run('', databaseUrl(target));
    expect(back.code, back.notes).to.equal(0);
    expect(back.out).to.contain('Set PASSMANAGER_DATABASE_URL');
    expect(await contentsOf(target)).to.deep.equal(await contentsOf(world.database));
    const again = await run('', databaseUrl(target));
    expect(again.code).to.equal(1);
    expect(again.notes).to.contain('--replace');
    expect((await run('', databaseUrl(target), '--replace')).code).to.equal(0);
  });
});
