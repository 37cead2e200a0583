import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { parse } from 'yaml';

const HAPROXY = '/usr/sbin/haproxy';
const directory = join(import.meta.dirname, '../../deploy/patroni');
const read = (name: string): string => readFileSync(join(directory, name), 'utf8');

describe('the configuration of a PostgreSQL with a standby', () => {
  const patroni = parse(read('patroni.yaml'));
  const { dcs, initdb } = patroni.bootstrap;

  it('lets nobody in without a password and TLS but the superuser on the machine itself, and nobody command Patroni', () => {
    const [local, ...remote] = dcs.postgresql.pg_hba as string[];
    expect(local).to.equal('local all postgres peer');
    for (const line of remote) expect(line).to.match(/^hostssl \S+ (?!all|postgres)\S+ \S+ scram-sha-256$/);
    expect(patroni.postgresql.parameters.ssl).to.equal('on');
    expect(patroni.postgresql.authentication.superuser).to.deep.equal({ username: 'postgres' });
    for (const role of ['replication', 'rewind'])
      expect(patroni.postgresql.authentication[role].sslmode).to.equal('verify-ca');
    expect(patroni.restapi.authentication).to.have.keys('username', 'password');
  });

  it('acknowledges what is on both disks, and promotes only who has all of it', () => {
    expect(dcs).to.include({ synchronous_mode: true, failsafe_mode: true });
    for (const parameters of [dcs.postgresql.parameters, patroni.postgresql.parameters])
      expect(parameters).not.to.have.any.keys('synchronous_commit', 'fsync', 'full_page_writes');
    // Over etcd3, Debian 12's Patroni takes back a lock that another one has.
    expect(patroni).to.have.property('etcd');
    expect(patroni).not.to.have.property('etcd3');
    expect(parse(read('etcd.yaml'))).to.include({ 'enable-v2': true });
    expect(patroni.watchdog.mode).not.to.equal('off');
  });

  it('brings a primary that was replaced back, in times that Patroni takes as they are', () => {
    expect(dcs.postgresql.use_pg_rewind).to.equal(true);
    expect(initdb).to.include('data-checksums');
    expect(dcs.ttl).to.be.at.least(20);
    expect(dcs.loop_wait + 2 * dcs.retry_timeout).to.be.at.most(dcs.ttl);
    expect(parse(read('etcd.yaml'))['initial-cluster'].split(',')).to.have.length(3);
  });

  it('sends a server to the node that Patroni calls the primary, and cuts it off from one that is not any more', () => {
    const text = read('haproxy.cfg');
    expect(text).to.match(/^ {2}option httpchk OPTIONS \/primary$/m);
    expect(text).to.match(/^ {2}http-check expect status 200$/m);
    expect(text).to.match(/^ {2}default-server .*on-marked-down shutdown-sessions$/m);
    expect(text).to.match(/^ {2}bind 127\.0\.0\.1:/m);
    const ports = new Set([...text.matchAll(/^ {2}server .* check port (\d+)$/gm)].map(([, port]) => port));
    expect([...ports]).to.deep.equal([patroni.restapi.listen.split(':')[1]]);
    if (!existsSync(HAPROXY)) return;
    const { status, stderr } = spawnSync(HAPROXY, ['-c', '-f', join(directory, 'haproxy.cfg')], {
      encoding: 'utf8',
    });
    expect(status, stderr).to.equal(0);
  });
});
