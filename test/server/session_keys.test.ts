import { randomBytes, randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { openSync, SealBrokenError, sealSync } from '../../src/database/aead.ts';
import { ColumnSealer } from '../../src/database/column_sealer.ts';
import type { Executor } from '../../src/database/database.ts';
import { sessionRowId } from '../../src/database/sealed_columns.ts';
import { deriveSessionKeys } from '../../src/protocol/keys.ts';
import { SessionKeys, sessionKeySet } from '../../src/server/session_keys.ts';
import { rejection } from '../support/rejection.ts';

const sealer = new ColumnSealer(new Map([[1, new Uint8Array(randomBytes(32))]]), 1);

describe('the keys of sessions', () => {
  const stored = new Map<string, { user_id: string; kind: number; session_key: Buffer }>();
  let lookups = 0;
  const database: Executor = {
    execute: async (_, [sessionId]) => {
      lookups += 1;
      const row = stored.get(sessionId as string);
      return { rows: row === undefined ? [] : [row] };
    },
  };

  const store = (key: Uint8Array) => {
    const sessionId = randomUUID();
    const userId = randomUUID();
    const row = sessionRowId({ sessionId, userId, kind: 1 });
    const session_key = sealer.seal('login_sessions', 'session_key', row, key);
    stored.set(sessionId, { user_id: userId, kind: 1, session_key });
    return sessionId;
  };

  beforeEach(() => {
    lookups = 0;
  });

  it('are derived from K, one a direction', () => {
    const key = new Uint8Array(randomBytes(32));
    const set = sessionKeySet({ sessionId: 's', userId: 'u', kind: 2 }, key);
    const { clientToServer, serverToClient } = deriveSessionKeys(key);
    expect(set.clientToServer.export()).to.deep.equal(Buffer.from(clientToServer));
    expect(set.serverToClient.export()).to.deep.equal(Buffer.from(serverToClient));
    const aad = new Uint8Array(3);
    expect(openSync(set.clientToServer, sealSync(set.clientToServer, key, aad), aad)).to.deep.equal(
      Buffer.from(key),
    );
  });

  it('are looked up once, again when they were forgotten, and never found where there is no session', async () => {
    const keys = new SessionKeys(database, sealer);
    const sessionId = store(new Uint8Array(randomBytes(32)));
    const first = await keys.find(sessionId);
    expect(await keys.find(sessionId)).to.equal(first);
    expect(lookups).to.equal(1);
    keys.forget(sessionId);
    expect((await keys.find(sessionId))?.clientToServer.export()).to.deep.equal(
      first?.clientToServer.export(),
    );
    expect(lookups).to.equal(2);
    expect(await keys.find(randomUUID())).to.equal(undefined);
  });

  it('do not open for another user or another kind, were the row written so', async () => {
    const keys = new SessionKeys(database, sealer);
    for (const change of [{ user_id: randomUUID() }, { kind: 2 }]) {
      const sessionId = store(new Uint8Array(randomBytes(32)));
      stored.set(sessionId, { ...stored.get(sessionId)!, ...change });
      expect(await rejection(keys.find(sessionId))).to.be.instanceOf(SealBrokenError);
    }
  });

  it('go out of the cache when they were used longest ago', async () => {
    const keys = new SessionKeys(database, sealer, 2);
    const [a, b, c] = [1, 2, 3].map(() => store(new Uint8Array(randomBytes(32)))) as [string, string, string];
    await keys.find(a);
    await keys.find(b);
    await keys.find(a);
    await keys.find(c);
    lookups = 0;
    await keys.find(a);
    await keys.find(c);
    expect(lookups).to.equal(0);
    await keys.find(b);
    expect(lookups).to.equal(1);
  });

  it('do not open from another session’s row', async () => {
    const keys = new SessionKeys(database, sealer);
    const [mine, theirs] = [store(new Uint8Array(32)), store(new Uint8Array(32).fill(1))];
    stored.set(mine, stored.get(theirs)!);
    const error = await keys.find(mine).then(
      () => undefined,
      (thrown: Error) => thrown.name,
    );
    expect(error).to.equal('SealBrokenError');
  });
});
