import { expect } from 'chai';
import { FIRST_STATEMENTS, PG_HBA_CONF, postgresqlConf } from '../../../src/database/embedded/settings.ts';

describe('PostgreSQL’s settings', () => {
  it('name no absolute path and no address', () => {
    const text = postgresqlConf(100);
    expect(text).not.to.match(/'\//);
    expect(text).to.contain(`listen_addresses = ''`).and.to.contain(`unix_socket_directories = '../socket'`);
  });

  it('let one role in, over the socket, to one database', () => {
    const lines = PG_HBA_CONF.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    expect(lines).to.deep.equal(['local passmanager passmanager trust']);
  });

  it('take the number of connections', () => {
    expect(postgresqlConf(42)).to.contain('\nmax_connections = 42\n');
  });

  it('are followed by statements of one line each, as single-user mode reads them', () => {
    for (const line of FIRST_STATEMENTS.trimEnd().split('\n')) expect(line).to.match(/^[^;]+;$/);
  });
});
