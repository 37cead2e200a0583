import { expect } from 'chai';
import pg from 'pg';
import {
  DamagedBackupError,
  ForeignTablesError,
  NewerBackupError,
  ServerRunsError,
  TargetNotEmptyError,
} from '../../../src/database/backup/backup_errors.ts';
import type { Frame } from '../../../src/database/backup/backup_frames.ts';
import { type RestoreOptions, restoreSnapshot } from '../../../src/database/backup/restore_snapshot.ts';
import { readSnapshot } from '../../../src/database/backup/snapshot.ts';
import { openDatabase } from '../../../src/database/database.ts';
import { readKeyFile } from '../../../src/database/key_file.ts';
import { migrations } from '../../../src/database/migrations/index.ts';
import { migrate } from '../../../src/database/migrator.ts';
import { type BackupWorld, contentsOf, createBackupWorld } from '../../support/backup_world.ts';
import { rejection } from '../../support/rejection.ts';
import { insertRow, sampleAttempt, sampleSession, sampleUser } from '../../support/sample_rows.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test_database.ts';

describe('a restore of a snapshot', function () {
  this.timeout(60_000);
  let world: BackupWorld;
  let frames: Frame[];
  let target: TestDatabase;
  let client: pg.Client;

  before(async () => {
    world = await createBackupWorld();
    const source = new pg.Client(world.database.connection);
    await source.connect();
    frames = [];
    for await (const frame of readSnapshot(source, { keyFile: (await readKeyFile(world.keyFile))! }))
      frames.push(frame);
    await source.end();
  });

  after(() => world.drop());

  const connect = async (migrated: boolean): Promise<void> => {
    target = await createTestDatabase({ migrated });
    client = new pg.Client(target.connection);
    await client.connect();
  };

  afterEach(async () => {
    await client.end();
    await target.drop();
  });

  async function* stream(list: readonly Frame[]): AsyncGenerator<Frame> {
    yield* list;
  }
  const restore = (list: readonly Frame[] = frames, options: Partial<RestoreOptions> = {}) =>
    restoreSnapshot(client, stream(list), {
      replace: false,
      settle: true,
      wrapUnder: async (key) => key,
      ...options,
    });
  /** The frames with one of them changed. */
  const changed = (type: Frame['type'], change: (frame: never) => object): Frame[] => {
    const index = frames.findIndex((frame) => frame.type === type);
    return frames.map((frame, at) =>
      at === index ? ({ ...frame, ...change(frame as never) } as Frame) : frame,
    );
  };

  it('is refused where there are accounts, unless they may go', async () => {
    await connect(true);
    await insertRow(target, 'users', sampleUser());
    const before = await contentsOf(target);
    expect(await rejection(restore())).to.be.instanceOf(TargetNotEmptyError);
    expect(await contentsOf(target)).to.deep.equal(before);
    await restore(frames, { replace: true });
    expect(await contentsOf(target)).to.deep.equal(await contentsOf(world.database));
  });

  it('is refused where tables of its names are another program’s, which stay', async () => {
    const others = [
      ['create table users (id int primary key)'],
      ['create table schema_migrations (version text)', "insert into schema_migrations values ('2026')"],
      [
        'create table users (id int primary key)',
        'create table schema_migrations (id int, name text)',
        "insert into schema_migrations values (1, 'CreateUsers')",
      ],
    ];
    await connect(false);
    const tables = () =>
      target.query(`select relname from pg_class where relnamespace = 'public'::regnamespace order by 1`);
    for (const statements of others) {
      for (const statement of statements) await target.query(statement);
      const before = await tables();
      for (const replace of [false, true])
        expect(await rejection(restore(frames, { replace }))).to.be.instanceOf(ForeignTablesError);
      expect(await tables()).to.deep.equal(before);
      await target.query('drop table if exists users, schema_migrations');
    }
  });

  it('leaves tables and domains of others alone, beside an empty database and in the place of a full one', async () => {
    await connect(false);
    await target.query('create domain postcode as text');
    await target.query("create table shops as select 'N1'::postcode as at");
    await restore();
    await restore(frames, { replace: true });
    expect(await target.query('select at from shops')).to.deep.equal([{ at: 'N1' }]);
    expect(await target.query(`select 'N2'::postcode as at`)).to.have.length(1);
    expect(await contentsOf(target)).to.deep.equal(await contentsOf(world.database));
  });

  it('is refused while a server has the database open', async () => {
    await connect(true);
    const server = await openDatabase({ connection: target.connection, poolSize: 1 });
    await server.reads.execute('select 1', []);
    expect(await rejection(restore())).to.be.instanceOf(ServerRunsError);
    await server.close();
  });

  it('leaves what was there when the backup is not what it says, ends early, or is of a newer version', async () => {
    await connect(true);
    await target.query(`insert into invites (code_hash) values (decode(repeat('ab', 32), 'hex'))`);
    const before = await contentsOf(target);
    const wrongs: [readonly Frame[], new (...args: never[]) => Error][] = [
      [[], DamagedBackupError],
      [frames.slice(1), DamagedBackupError],
      [frames.slice(0, -1), DamagedBackupError],
      [[...frames, { type: 'end' }], DamagedBackupError],
      [frames.filter(({ type }) => type !== 'rows'), DamagedBackupError],
      [
        changed('summary', ({ summary }: { summary: object }) => ({ summary: { ...summary, rows: 3 } })),
        DamagedBackupError,
      ],
      [
        changed('summary', ({ summary }: { summary: object }) => ({ summary: { ...summary, sha256: '00' } })),
        DamagedBackupError,
      ],
      [
        changed('manifest', ({ manifest }: { manifest: object }) => ({
          manifest: { ...manifest, migrations: ['Migration29990101000000Later'] },
        })),
        NewerBackupError,
      ],
    ];
    for (const [index, [list, kind]] of wrongs.entries()) {
      expect(await rejection(restore(list)), `${index}`).to.be.instanceOf(kind);
      expect(await contentsOf(target), `${index}`).to.deep.equal(before);
    }
    // Rows that PostgreSQL refuses: the connection is usable afterwards.
    const nonsense = changed('rows', () => ({ bytes: Buffer.from('nonsense\n') }));
    expect((await rejection(restore(nonsense))).message).to.match(/missing data|invalid input/);
    expect(await contentsOf(target)).to.deep.equal(before);
    await restore();
  });

  it('ends sessions, log-ins and open password changes, and gives every account another history', async () => {
    await connect(false);
    const source = await createBackupWorld({ users: 1, entries: 3 });
    const [user] = await source.database.query('select id, history_id from users');
    await insertRow(source.database, 'login_sessions', sampleSession(user!.id));
    await insertRow(source.database, 'auth_ephemerals', sampleAttempt());
    await source.database.query(
      `update users set change_session_id = gen_random_uuid(), change_begun_by = gen_random_uuid(), change_opened_at = now(),
         change_expires_at = now(), change_remaining_entries = 1, new_srp_salt = srp_salt, new_srp_verifier = srp_verifier,
         new_master_key_salt = master_key_salt, new_encrypted_vault_header = encrypted_vault_header, new_kdf_algorithm = 1,
         new_kdf_memory_kib = 1, new_kdf_iterations = 1, new_kdf_parallelism = 1,
         new_eph_private_b = decode(repeat('ab', 72), 'hex'), new_eph_public_b = decode(repeat('ab', 512), 'hex')`,
    );
    await source.database.query(
      'update secure_data set new_entry_name = entry_name, new_entry_data = entry_data, new_change_session_id = gen_random_uuid() where revision = 1',
    );
    const other = new pg.Client(source.database.connection);
    await other.connect();
    await restoreSnapshot(client, readSnapshot(other, { keyFile: (await readKeyFile(source.keyFile))! }), {
      replace: false,
      settle: true,
      wrapUnder: async (key) => key,
    });
    await other.end();
    const [state] = await target.query(
      `select (select count(*)::int from login_sessions) as sessions, (select count(*)::int from auth_ephemerals) as attempts,
              (select count(*)::int from secure_data where new_entry_name is not null) as renewed,
              (select count(*)::int from secure_data) as entries,
              (select change_session_id from users) as change, (select history_id from users) as history`,
    );
    expect(state).to.deep.include({ sessions: 0, attempts: 0, renewed: 0, entries: 3, change: null });
    expect(Buffer.compare(state!.history as Buffer, user!.history_id as Buffer)).not.to.equal(0);
    await source.drop();
  });

  for (const count of migrations.map((_, index) => index + 1)) {
    const names = migrations.slice(0, count).map(({ name }) => name);
    const last = names.at(-1)!;

    it(`makes the schema that the backup had, and the program brings it up to date: ${last}`, async () => {
      await connect(false);
      const old = await createTestDatabase({ migrated: false });
      const source = new pg.Client(old.connection);
      await source.connect();
      // A database as that version left it, filled by it.
      const empty: Frame = {
        type: 'manifest',
        manifest: { version: 1, madeAt: '', migrations: names, keyFile: '00'.repeat(32), tables: [] },
      };
      await restoreSnapshot(source, stream([empty, { type: 'end' }]), {
        replace: false,
        settle: false,
        wrapUnder: async (key) => key,
      });
      const user = sampleUser();
      await insertRow(old, 'users', user);
      await old.query(
        `insert into secure_data (user_id, entry_id, entry_name, entry_data, revision)
           select $1, gen_random_uuid(), decode(repeat('ab', 93), 'hex'), decode(repeat('cd', 285), 'hex'), n from generate_series(1, 5) n`,
        [user.id],
      );
      const before = await contentsOf(old);
      await restoreSnapshot(client, readSnapshot(source, { keyFile: new Uint8Array(32) }), {
        replace: false,
        settle: true,
        wrapUnder: async (key) => key,
      });
      const executed = await target.query('select name from schema_migrations order by id');
      expect(executed.map(({ name }) => name)).to.deep.equal(names);
      expect(await contentsOf(target)).to.deep.equal(before);
      for (const each of [old, target]) {
        const database = await openDatabase({ connection: each.connection, poolSize: 1 });
        await migrate(database);
        await database.close();
      }
      expect(await target.query('select name from schema_migrations')).to.have.length(migrations.length);
      expect(await contentsOf(target)).to.deep.equal(await contentsOf(old));
      const [{ entries }] = (await target.query('select count(*)::int as entries from secure_data')) as [
        { entries: number },
      ];
      expect(entries).to.equal(5);
      await source.end();
      await old.drop();
    });
  }

  it('makes just the schema that the migrator makes', async () => {
    await connect(false);
    await restore();
    const migrated = await createTestDatabase();
    const schema = (database: TestDatabase) =>
      database.query(
        `select (select json_agg(x order by x.t, x.c) from (select table_name t, column_name c, data_type, domain_name, is_nullable,
                   column_default from information_schema.columns where table_schema = 'public') x) as columns,
                (select json_agg(indexdef order by indexdef) from pg_indexes where schemaname = 'public') as indexes,
                (select json_agg(x order by x) from (select conrelid::regclass || pg_get_constraintdef(oid) x from pg_constraint
                   where connamespace = 'public'::regnamespace) y) as constraints,
                (select json_agg(reloptions order by relname) from pg_class where relnamespace = 'public'::regnamespace) as options`,
      );
    expect(await schema(target)).to.deep.equal(await schema(migrated));
    await migrated.drop();
  });
});
