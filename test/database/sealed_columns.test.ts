import { expect } from 'chai';
import { SEALED_TABLES, sessionRowId } from '../../src/database/sealed_columns.ts';
import { createTestDatabase } from '../support/test_database.ts';

describe('the sealed columns', () => {
  it('name a session’s row by its user and kind, too', () => {
    const session = { sessionId: 's', userId: 'u', kind: 1 };
    expect(sessionRowId(session)).to.equal('s u 1');
    const sessions = SEALED_TABLES.find(({ table }) => table === 'login_sessions')!;
    expect(sessions.rowId({ id: 's', user_id: 'u', kind: 1 })).to.equal('s u 1');
  });

  it('are all that the schema has: every column of bytes is sealed by the server, by a client, or public', async () => {
    const test = await createTestDatabase();
    try {
      const rows = await test.query(
        `select table_name || '.' || column_name as name from information_schema.columns
          where table_schema = 'public' and data_type = 'bytea' and table_name <> 'server_keys' order by 1`,
      );
      const sealed = SEALED_TABLES.flatMap(({ table, columns }) =>
        columns.map((column) => `${table}.${column}`),
      );
      const clear = rows.map(({ name }) => name as string).filter((name) => !sealed.includes(name));
      expect(sealed.filter((name) => !rows.some((row) => row.name === name))).to.deep.equal([]);
      expect(clear).to.deep.equal([
        'auth_ephemerals.eph_public_b',
        'auth_ephemerals.new_eph_public_b',
        'auth_ephemerals.username_lookup',
        'invites.code_hash',
        'invites.used_by',
        'login_networks.key',
        'rate_counters.key',
        'secure_data.entry_data',
        'secure_data.entry_name',
        'secure_data.new_entry_data',
        'secure_data.new_entry_name',
        'users.history_id',
        'users.new_eph_public_b',
        'users.username_lookup',
      ]);
    } finally {
      await test.drop();
    }
  });
});
