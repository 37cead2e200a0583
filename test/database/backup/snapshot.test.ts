import { expect } from 'chai';
import pg from 'pg';
import { BackupError } from '../../../src/database/backup/backup_errors.ts';
import type { Frame } from '../../../src/database/backup/backup_frames.ts';
import { readSnapshot } from '../../../src/database/backup/snapshot.ts';
import { migrations } from '../../../src/database/migrations/index.ts';
import { type BackupWorld, createBackupWorld } from '../../support/backup_world.ts';
import { rejection } from '../../support/rejection.ts';
import { createTestDatabase } from '../../support/test_database.ts';

describe('a snapshot', () => {
  let world: BackupWorld;
  let client: pg.Client;

  beforeEach(async () => {
    world = await createBackupWorld();
    client = new pg.Client(world.database.connection);
    await client.connect();
  });

  afterEach(async () => {
    await client.end();
    await world.drop();
  });

  const read = async (
    options: Parameters<typeof readSnapshot>[1],
    between = async () => {},
  ): Promise<Frame[]> => {
    const frames: Frame[] = [];
    for await (const frame of readSnapshot(client, options)) {
      frames.push(frame);
      if (frames.length === 1) await between();
    }
    return frames;
  };
  const keyFile = new Uint8Array(32).fill(7);

  it('is refused where the server never started', async () => {
    const empty = await createTestDatabase({ migrated: false });
    const other = new pg.Client(empty.connection);
    await other.connect();
    expect(await rejection(readSnapshot(other, { keyFile }).next())).to.be.instanceOf(BackupError);
    await other.end();
    await empty.drop();
  });

  it('is of one moment, whatever is written while it is read, and leaves no transaction open', async () => {
    const frames = await read({ keyFile }, async () => {
      await world.database.query('delete from users');
    });
    const rows = frames
      .filter((frame) => frame.type === 'summary')
      .map(({ summary }) => [summary.table, summary.rows]);
    expect(rows).to.deep.equal([
      ['server_keys', 2],
      ['users', 2],
      ['secure_data', 10],
      ['invites', 1],
      ['audit_events', 1],
    ]);
    expect(frames.at(-1)).to.deep.equal({ type: 'end' });
    const { rows: state } = await client.query('select now() = statement_timestamp() as fresh');
    expect(state[0].fresh).to.equal(true);
  });

  it('describes itself, and tells how far it is', async () => {
    const told: string[] = [];
    const now = new Date('2026-11-24T01:02:03Z');
    const [first] = await read({
      keyFile,
      now,
      progress: ({ table, rows, of }) => told.push(`${table} ${rows}/${of}`),
    });
    if (first?.type !== 'manifest') throw new Error('the manifest comes first');
    expect(first.manifest).to.include({
      version: 1,
      madeAt: '2026-11-24T01:02:03.000Z',
      keyFile: '07'.repeat(32),
    });
    expect(first.manifest.migrations).to.deep.equal(migrations.map(({ name }) => name));
    expect(told).to.deep.equal([
      'server_keys 2/2',
      'users 2/2',
      'secure_data 10/10',
      'invites 1/1',
      'audit_events 1/1',
    ]);
  });

  it('writes the same rows whatever the settings of the database are', async () => {
    const name = world.database.connection.database;
    const summaries = async () =>
      (await read({ keyFile }))
        .filter((frame) => frame.type === 'summary')
        .map(({ summary }) => summary.sha256);
    const before = await summaries();
    await client.query(`alter database ${name} set bytea_output = 'escape'`);
    await client.query(`alter database ${name} set datestyle = 'German'`);
    await client.query(`alter database ${name} set timezone = 'Asia/Tokyo'`);
    await client.end();
    client = new pg.Client(world.database.connection);
    await client.connect();
    expect(await summaries()).to.deep.equal(before);
  });
});
