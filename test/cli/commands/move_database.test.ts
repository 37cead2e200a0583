import { expect } from 'chai';
import { type BackupWorld, contentsOf, createBackupWorld } from '../../support/backup_world.ts';
import { type CliResult, runCli } from '../../support/cli.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test_database.ts';
import { databaseUrl } from '../../support/test_server.ts';

describe('passmanager move-database', function () {
  this.timeout(60_000);
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

  const run = (from: string, ...parameters: string[]) => answered(undefined, from, ...parameters);
  const answered = (
    answers: string[] | undefined,
    from: string,
    ...parameters: string[]
  ): Promise<CliResult> =>
    runCli(
      ['move-database', ...parameters],
      {
        PASSMANAGER_DATABASE_URL: from,
        PASSMANAGER_KEY_FILE: world.keyFile,
        PASSMANAGER_DATA_DIR: world.at('data'),
      },
      answers,
    );

  it('refuses what is no database, and the one that is configured', async () => {
    for (const url of ['', 'mysql://x/y', 'somewhere'])
      expect(await run(databaseUrl(world.database), url)).to.include({ code: 64 });
    const same = await run(databaseUrl(world.database), databaseUrl(world.database));
    expect(same.code).to.equal(1);
    expect(same.notes).to.contain('configured already');
  });

  it('moves into the embedded database and on into another, says which setting comes next, and deletes accounts only when that was said and confirmed', async () => {
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
    await target.query('delete from invites');
    const marked = await contentsOf(target);
    expect((await run('', databaseUrl(target), '--replace')).code).to.equal(1);
    expect((await answered(['no'], '', databaseUrl(target), '--replace')).code).to.equal(1);
    expect(await contentsOf(target)).to.deep.equal(marked);
    expect((await answered(['yes'], '', databaseUrl(target), '--replace')).code).to.equal(0);
    expect(await contentsOf(target)).to.deep.equal(await contentsOf(world.database));
    expect((await run('', databaseUrl(target), '--replace', '--yes')).code).to.equal(0);
  });
});
