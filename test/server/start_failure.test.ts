import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { expect } from 'chai';
import { DatabaseFault } from '../../src/database/sqlstate.ts';
import { loadConfig } from '../../src/server/config.ts';
import { explainDatabaseFailure, explainStartFailure } from '../../src/server/start_failure.ts';

const settings = loadConfig({});
const SECRET = 'postgres://me:geheim@db/vaults';
const withUrl = { ...settings, databaseUrl: SECRET };
const system = (code: string, more: object = {}) => Object.assign(new Error(code), { code, ...more });

describe('why a server did not start', () => {
  it('is not explained for what says it by itself, and for what nobody foresaw', () => {
    expect(explainStartFailure(new Error('a mistake'), settings)).to.equal(undefined);
    expect(explainStartFailure(system('EMFILE', { syscall: 'listen', port: 8080 }), settings)).to.equal(
      undefined,
    );
    expect(explainStartFailure(new DatabaseFault('unexpected'), settings)).to.equal(undefined);
  });

  it('names the port that is taken and its setting, as the system says it', async () => {
    const taken = createServer();
    taken.listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as { port: number };
    const second = createServer().listen(port, '127.0.0.1');
    const [error] = await once(second, 'error');
    taken.close();
    expect(explainStartFailure(error, { ...settings, httpPort: port }))
      .to.include(`127.0.0.1:${port}`)
      .and.to.include('PASSMANAGER_HTTP_PORT');
    expect(explainStartFailure(error, { ...settings, grpcPort: port })).to.include('PASSMANAGER_GRPC_PORT');
  });

  for (const [code, named] of [
    ['EACCES', 'PASSMANAGER_GRPC_PORT to 1024'],
    ['EADDRNOTAVAIL', 'PASSMANAGER_HOST'],
    ['ENOTFOUND', 'PASSMANAGER_HOST'],
  ] as const) {
    it(`names the setting of an address that gives ${code}`, () => {
      const syscall = code === 'ENOTFOUND' ? 'getaddrinfo' : 'listen';
      expect(explainStartFailure(system(code, { syscall, port: 50051 }), settings)).to.include(named);
    });
  }

  it('names the setting of the metrics’ port, and that of a door where the door has it', () => {
    const measured = { ...settings, metricsAddress: { host: '127.0.0.1', port: 9464 }, workers: 2 };
    const taken = (port: number) =>
      explainStartFailure(system('EADDRINUSE', { syscall: 'listen', port, address: '127.0.0.1' }), measured);
    expect(taken(9464)).to.include('127.0.0.1:9464').and.to.include('PASSMANAGER_METRICS_ADDRESS');
    expect(taken(9465)).to.include('PASSMANAGER_METRICS_ADDRESS');
    expect(taken(8080)).to.include('PASSMANAGER_HTTP_PORT');
    const away = system('EADDRNOTAVAIL', { syscall: 'listen', port: 9464, address: '192.0.2.1' });
    expect(explainStartFailure(away, measured)).to.include('PASSMANAGER_METRICS_ADDRESS');
  });

  it('names the setting of the path that is at fault', () => {
    const given = loadConfig({
      PASSMANAGER_LOG_FILE: '/var/log/vaults/log',
      PASSMANAGER_BACKUP_DIR: './data/backups',
      PASSMANAGER_BACKUP_PASSPHRASE: 'correct horse battery staple',
    });
    const named = (path: string, code = 'EACCES') =>
      explainStartFailure(system(code, { syscall: 'open', path }), given);
    for (const code of ['ENOENT', 'EISDIR', 'EACCES'])
      expect(named('/var/log/vaults/log', code), code).to.include('PASSMANAGER_LOG_FILE');
    expect(named('/var/log/vaults/log-worker-1')).to.include('PASSMANAGER_LOG_FILE');
    expect(named('./data/backups')).to.include('PASSMANAGER_BACKUP_DIR');
    expect(named('./data')).to.include('PASSMANAGER_DATA_DIR');
    expect(named('/var/log')).to.include('PASSMANAGER_LOG_FILE');
    expect(named('/elsewhere')).to.include('PASSMANAGER_DATA_DIR');
  });

  it('names the path that is closed, read-only, full or no directory', async () => {
    for (const code of ['EACCES', 'EPERM', 'EROFS', 'ENOSPC', 'ENOTDIR']) {
      const explained = explainStartFailure(
        system(code, { syscall: 'mkdir', path: '/var/vaults' }),
        settings,
      );
      expect(explained, code).to.include('/var/vaults').and.to.include('PASSMANAGER_DATA_DIR');
    }
    const error = await mkdir(new URL(import.meta.url).pathname, { recursive: true }).catch(
      (thrown) => thrown,
    );
    expect(explainStartFailure(error, settings)).to.include('PASSMANAGER_DATA_DIR');
  });

  for (const [fault, words] of [
    [new DatabaseFault('outage', { cause: system('ECONNREFUSED') }), 'ECONNREFUSED'],
    [new DatabaseFault('outage', { sqlState: '28P01' }), 'refuses the password'],
    [new DatabaseFault('outage', { sqlState: '3D000' }), 'has no database of that name'],
  ] as const) {
    it(`says of a database by its URL that it ${words}, and nothing of the URL`, () => {
      const explained = explainStartFailure(fault, withUrl)!;
      expect(explained).to.include('PASSMANAGER_DATABASE_URL').and.to.include(words);
      expect(explained).to.not.include('geheim');
    });
  }

  it('says the same of what the driver throws, and of a database that is no setting', () => {
    const refused = system('ECONNREFUSED', { syscall: 'connect', address: '127.0.0.1', port: 5999 });
    expect(explainDatabaseFailure(refused, withUrl)).to.include('PASSMANAGER_DATABASE_URL');
    const several = Object.assign(new AggregateError([refused]), { code: 'ECONNREFUSED' });
    expect(explainDatabaseFailure(several, withUrl)).to.include('ECONNREFUSED');
    expect(explainDatabaseFailure(several, settings)).to.include('127.0.0.1:5999');
    expect(explainDatabaseFailure(system('28P01'), settings)).to.include('refuses the password');
    expect(explainDatabaseFailure(system('ENOENT', { syscall: 'open' }), withUrl)).to.equal(undefined);
  });

  it('says that a database takes no writes, or went away', () => {
    expect(explainDatabaseFailure(new DatabaseFault('full'), withUrl)).to.include('writes');
    expect(explainDatabaseFailure(new DatabaseFault('lost'), withUrl)).to.include('PASSMANAGER_DATABASE_URL');
  });

  it('points to the log of the embedded database', () => {
    expect(explainStartFailure(new DatabaseFault('outage'), settings)).to.include(
      './data/postgres/postgres.log',
    );
  });
});
