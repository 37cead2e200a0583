import { expect } from 'chai';
import { NotificationListener } from '../../src/database/notification_listener.ts';
import { createTestDatabase, type TestDatabase } from '../support/test_database.ts';

describe('the listener for notifications', () => {
  let test: TestDatabase;
  let listener: NotificationListener;
  const heard: string[] = [];
  let reconnects = 0;

  before(async () => {
    test = await createTestDatabase({ migrated: false });
    listener = new NotificationListener(test.connection, 'a "quoted" channel', {
      onNotify: (payload) => heard.push(payload),
      onReconnect: () => {
        reconnects += 1;
      },
    });
    await listener.start();
  });

  after(async () => {
    await listener.stop();
    await test.drop();
  });

  const until = async (condition: () => boolean) => {
    for (let attempt = 0; attempt < 200 && !condition(); attempt += 1)
      await new Promise((r) => setTimeout(r, 25));
    expect(condition()).to.equal(true);
  };
  const listening = async () =>
    Number(
      (
        await test.query(
          "select count(*) from pg_stat_activity where query like 'listen%' and datname = current_database()",
        )
      )[0]!.count,
    );

  it('hears what is sent on its channel and nothing else', async () => {
    await test.query('select pg_notify($1, $2)', ['another channel', 'no']);
    await test.query('select pg_notify($1, $2)', ['a "quoted" channel', 'yes']);
    await until(() => heard.length > 0);
    expect(heard).to.deep.equal(['yes']);
    expect(reconnects).to.equal(0);
  });

  it('comes back when its connection dies, says so once, and hears again', async () => {
    await test.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where query like 'listen%' and datname = current_database()",
    );
    await until(() => reconnects === 1);
    await test.query('select pg_notify($1, $2)', ['a "quoted" channel', 'again']);
    await until(() => heard.includes('again'));
    expect(await listening()).to.equal(1);
  });

  it('goes on trying while there is nobody to connect to, and ends when it is stopped', async () => {
    const lost = new NotificationListener({ host: '/nonexistent', user: 'x', database: 'x' }, 'c', {
      onNotify: () => {},
      onReconnect: () => {},
    });
    await lost.start();
    await lost.stop();
    await listener.stop();
    for (let attempt = 0; attempt < 40 && (await listening()) > 0; attempt += 1)
      await new Promise((r) => setTimeout(r, 25));
    expect(await listening()).to.equal(0);
  });
});
