import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { openDatabase } from '../../../src/database/database.ts';
import { AuditEvent } from '../../../src/database/entities/audit_event.ts';
import { refusedState } from '../../support/sample_rows.ts';
import { createTestDatabase } from '../../support/test_database.ts';

describe('the AuditEvent entity', () => {
  it('is refused without a name or with a long one, and outlives the account that it is about', async () => {
    const test = await createTestDatabase();
    for (const event of ['', 'x'.repeat(65)])
      expect(await refusedState(test, 'audit_events', { event })).to.equal('23514');
    const database = await openDatabase({ connection: test.connection, poolSize: 1 });
    const userId = randomUUID();
    await test.query("insert into audit_events (event, user_id) values ('account deleted', $1)", [userId]);
    const found = await database.em().findOneOrFail(AuditEvent, { userId });
    expect(found.event).to.equal('account deleted');
    expect(found.at).to.be.instanceOf(Date);
    await database.close();
    await test.drop();
  });
});
