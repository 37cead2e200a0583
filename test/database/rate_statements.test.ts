import { randomBytes, randomUUID } from 'node:crypto';
import { expect } from 'chai';
import {
  COUNT_FAILURE,
  DELETE_OLD_COUNTERS,
  DELETE_OLD_NETWORKS,
  READ_FAILURES,
  REMEMBER_NETWORK,
} from '../../src/database/rate_statements.ts';
import { insertRow, sampleSession, sampleUser } from '../support/sample_rows.ts';
import { createTestDatabase, type TestDatabase } from '../support/test_database.ts';

describe('the statements of rates', () => {
  let own: TestDatabase;
  const [one, other, third] = [randomBytes(16), randomBytes(16), randomBytes(16)];

  before(async () => {
    own = await createTestDatabase();
  });

  after(() => own.drop());

  it('count keys in one order, so that callers who have them the other way round do not wait for each other', async () => {
    await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        own.query(COUNT_FAILURE, index % 2 === 0 ? [one, other, third] : [third, other, one]),
      ),
    );
    const rows = await own.query('select count + previous as n from rate_counters');
    expect(rows).to.deep.equal([{ n: 40 }, { n: 40 }, { n: 40 }]);
  });

  it('tell nothing of keys that were never counted', async () => {
    const never = randomBytes(16);
    const [row] = await own.query(READ_FAILURES, [never, never, never, never]);
    expect(row).to.include({
      failures_of_name_and_network: 0,
      failures_of_name: 0,
      failures_of_network: 0,
      known_network: false,
    });
    expect(row!.seconds_left).to.be.within(1, 60);
  });

  it('drop counters when their minutes are over, and networks after half a year', async () => {
    await own.query('update rate_counters set minute = minute - 2 where key = $1', [one]);
    expect(await own.query(DELETE_OLD_COUNTERS, [10])).to.have.length(1);
    const user = sampleUser();
    const session = sampleSession(user.id as string);
    await insertRow(own, 'users', user);
    await insertRow(own, 'login_sessions', session);
    await own.query(REMEMBER_NETWORK, [one, session.id]);
    await own.query(REMEMBER_NETWORK, [other, session.id]);
    await own.query("update login_networks set last_used_at = now() - interval '181 days' where key = $1", [
      one,
    ]);
    expect(await own.query(DELETE_OLD_NETWORKS, [10])).to.have.length(1);
    expect(await own.query('select key from login_networks')).to.deep.equal([{ key: other }]);
  });

  it('remember no network of a session that was not opened', async () => {
    const before = await own.query('select key from login_networks');
    await own.query(REMEMBER_NETWORK, [third, randomUUID()]);
    expect(await own.query('select key from login_networks')).to.deep.equal(before);
  });

  it('write a network anew once a day, not at every log-in', async () => {
    const at = async () => (await own.query('select last_used_at as at from login_networks'))[0]!.at as Date;
    const before = await at();
    const [session] = await own.query('select id from login_sessions');
    await own.query(REMEMBER_NETWORK, [other, session!.id]);
    expect(await at()).to.deep.equal(before);
    await own.query("update login_networks set last_used_at = now() - interval '25 hours'");
    await own.query(REMEMBER_NETWORK, [other, session!.id]);
    expect((await at()).getTime()).to.be.at.least(before.getTime());
  });
});
