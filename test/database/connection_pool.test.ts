import { createServer, type Server, type Socket } from 'node:net';
import { expect } from 'chai';
import { clientConfig } from '../../src/database/connection_pool.ts';
import { type Database, type DatabaseOptions, openDatabase } from '../../src/database/database.ts';
import { DatabaseFault } from '../../src/database/sqlstate.ts';
import { type PostgresProcess, startPostgres } from '../support/postgres_process.ts';
import { createTestDatabase, databaseUrl, type TestDatabase } from '../support/test_database.ts';

const kindOf = (work: Promise<unknown>) =>
  work.then(
    () => 'done',
    (error: unknown) => (error instanceof DatabaseFault ? error.kind : error),
  );

const shown = async (executor: Database['reads'], name: string) =>
  Object.values((await executor.execute(`show ${name}`, [])).rows[0]!)[0];

describe('what pg is told of a database', () => {
  it('is the fields as they are, with our options', () => {
    const fields = { host: '/run/db', user: 'me', database: 'vaults' };
    expect(clientConfig(fields)).to.deep.equal(fields);
    expect(clientConfig(fields, '-c a=1')).to.deep.equal({ ...fields, options: '-c a=1' });
  });

  it('keeps the options of a URL, which ours follow', () => {
    const url = 'postgres://me:secret@example.org:5432/vaults?sslmode=verify-full&options=-c%20b%3D2';
    expect(clientConfig({ connectionString: url }, '-c a=1')).to.deep.equal({
      connectionString: 'postgres://me:secret@example.org:5432/vaults?sslmode=verify-full',
      options: '-c b=2 -c a=1',
    });
  });

  it('has no timeout that pg runs by itself', () => {
    const { connectionString } = clientConfig({ connectionString: 'postgres://me@h/v?query_timeout=5&a=b' });
    expect(connectionString).to.equal('postgres://me@h/v?a=b');
  });
});

describe('a pool of connections', () => {
  let test: TestDatabase;
  const opened: Database[] = [];
  const silent: Socket[] = [];
  let server: Server | undefined;

  const open = async (options: Partial<DatabaseOptions> = {}): Promise<Database> => {
    const database = await openDatabase({ connection: test.connection, poolSize: 1, ...options });
    opened.push(database);
    return database;
  };

  before(async () => {
    test = await createTestDatabase({ migrated: false });
  });

  after(async () => {
    await Promise.all(opened.map((database) => database.close()));
    for (const socket of silent) socket.destroy();
    server?.close();
    await test.drop();
  });

  it('gives up a server that takes the connection and says nothing', async () => {
    server = createServer((socket) => silent.push(socket));
    await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const connection = { host: '127.0.0.1', port, user: 'x', database: 'x' };
    const database = await open({ connection, connectTimeoutMs: 100 });
    expect(await kindOf(database.writes.execute('select 1', []))).to.equal('outage');
    expect(silent).to.have.length(1);
  });

  it('gives up waiting for a connection that nobody gives back, and serves once it is back', async () => {
    const database = await open({ connectTimeoutMs: 100 });
    await database.transaction(async (transaction) => {
      await transaction.execute('select 1', []);
      expect(await kindOf(database.writes.execute('select 1', []))).to.equal('outage');
    });
    expect(await kindOf(database.writes.execute('select 1', []))).to.equal('done');
  });

  it('keeps its limits whatever a URL says, and what the URL says beside them', async () => {
    const options = encodeURIComponent('-c work_mem=7MB -c lock_timeout=0');
    const connectionString = databaseUrl(test, `options=${options}&query_timeout=50`);
    const database = await open({ connection: { connectionString } });
    expect(await shown(database.reads, 'work_mem')).to.equal('7MB');
    expect(await shown(database.reads, 'lock_timeout')).to.equal('15s');
    expect(await shown(database.reads, 'synchronous_commit')).to.equal('off');
    expect(await kindOf(database.writes.execute('select pg_sleep(0.2)', []))).to.equal('done');
  });

  it('asks the server for the disk on every connection behind PgBouncer, whose connections writers get too', async () => {
    const database = await open({ pgbouncer: true });
    for (const executor of [database.reads, database.writes]) {
      expect(await shown(executor, 'synchronous_commit')).to.equal('on');
      expect(await shown(executor, 'lock_timeout')).to.equal('15s');
    }
  });
});

describe('a pool on a standby', () => {
  let standby: PostgresProcess;
  const opened: Database[] = [];

  const open = async (options: Partial<DatabaseOptions>): Promise<Database> => {
    const database = await openDatabase({ connection: standby.connection, poolSize: 2, ...options });
    opened.push(database);
    return database;
  };

  before(async () => {
    standby = await startPostgres({ standby: true });
  });

  after(async () => {
    await Promise.all(opened.map((database) => database.close()));
    await standby.stop();
  });

  it('that is for the primary alone finds no database, for reads neither, until the standby is the primary', async () => {
    const looking = await open({});
    expect(await kindOf(looking.reads.execute('select 1', []))).to.equal('done');
    const pools = [await open({ primaryOnly: true }), await open({ primaryOnly: true, pgbouncer: true })];
    const work = (database: Database) => [
      () => database.reads.execute('select 1', []),
      () => database.writes.execute('select 1', []),
      () => database.transaction(({ execute }) => execute('select 1', [])),
    ];
    // More often than there are connections: none of those that were refused is kept.
    for (const each of pools.flatMap(work))
      for (let time = 0; time < 3; time += 1) expect(await kindOf(each())).to.equal('outage');
    for (const database of pools)
      expect(database.load().reads).to.deep.equal({ busy: 0, idle: 0, waiting: 0 });
    await looking.reads.execute('select pg_promote()', []);
    for (const each of pools.flatMap(work)) expect(await kindOf(each())).to.equal('done');
  });
});
