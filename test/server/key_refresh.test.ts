import { randomBytes } from 'node:crypto';
import { mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { UnknownKeyError } from '../../src/database/column_sealer.ts';
import { type Database, openDatabase } from '../../src/database/database.ts';
import { activateSealingKey, openServerKeys, stageSealingKey } from '../../src/database/server_keys.ts';
import { KeyRefresh } from '../../src/server/key_refresh.ts';
import { createLogger } from '../../src/server/log.ts';
import { eventually } from '../support/eventually.ts';
import { createTestDatabase, type TestDatabase } from '../support/test_database.ts';

describe('the refresh of the server keys', () => {
  let own: TestDatabase;
  let database: Database;
  let directory: string;
  let keyFile: string;
  const lines: string[] = [];
  const log = createLogger('info', { write: (line: string) => void lines.push(line) });

  beforeEach(async () => {
    lines.length = 0;
    directory = await mkdtemp(join(tmpdir(), 'pm-refresh-'));
    keyFile = join(directory, 'key');
    own = await createTestDatabase();
    database = await openDatabase({ connection: own.connection, poolSize: 2 });
  });

  afterEach(async () => {
    await database.close();
    await own.drop();
    await rm(directory, { recursive: true });
  });

  const keys = () => openServerKeys({ database, keyFile, random: randomBytes });
  const rotate = async () => {
    const { id } = await stageSealingKey({ database, keyFile, random: randomBytes });
    await activateSealingKey(database, id);
  };

  it('keeps the keys that it has while the key file is away or the database is gone, and says so', async () => {
    const { sealer } = await keys();
    const refresh = new KeyRefresh({ database, keyFile, sealer, log });
    await rotate();
    await rename(keyFile, `${keyFile}.away`);
    await refresh.run();
    expect(sealer.ids).to.deep.equal([1]);
    expect(lines.join()).to.contain('tries again');
    await rename(`${keyFile}.away`, keyFile);
    await refresh.run();
    expect(sealer.ids).to.deep.equal([1, 3]);
    const closed = await openDatabase({ connection: own.connection, poolSize: 1 });
    await closed.close();
    await new KeyRefresh({ database: closed, keyFile, sealer, log }).run();
    expect(sealer.currentId).to.equal(3);
  });

  it('takes over a key that another process made, and says nothing while there is none', async () => {
    const { sealer } = await keys();
    const refresh = new KeyRefresh({ database, keyFile, sealer, log }, 20);
    await refresh.run();
    expect(lines).to.deep.equal([]);
    await rotate();
    const other = await keys();
    const stored = other.sealer.seal('users', 'srp_salt', 'row', Buffer.from('salt'));
    expect(() => sealer.open('users', 'srp_salt', 'row', stored)).to.throw(UnknownKeyError);
    refresh.start();
    await eventually(() => sealer.currentId === 3);
    await refresh.stop();
    expect(sealer.open('users', 'srp_salt', 'row', stored).toString()).to.equal('salt');
    expect(lines.filter((line) => line.includes('"keyId":3'))).to.have.length(1);
  });
});
