import { createHash, randomBytes } from 'node:crypto';
import { expect } from 'chai';
import {
  createInvite,
  forgetInvite,
  inviteHash,
  listInvites,
  revokeInvite,
} from '../../src/database/invites.ts';
import { StatementWorld } from '../support/statement_world.ts';

describe('invites', () => {
  let world: StatementWorld;
  before(async () => {
    world = await StatementWorld.open();
  });
  after(() => world.close());

  const stateOf = async (id: string) =>
    (await listInvites(world.database)).find((each) => each.id === id)?.state;

  it('are not taken back where there is none of the id, or it was used', async () => {
    expect(await revokeInvite(world.database, '0'.repeat(12))).to.equal(false);
    const { id, code } = await createInvite(world.database, 60);
    await world.test.query('update invites set used_by = $2, used_at = now() where code_hash = $1', [
      inviteHash(code),
      randomBytes(32),
    ]);
    expect(await revokeInvite(world.database, id)).to.equal(false);
    expect(await stateOf(id)).to.equal('used');
  });

  it('expire', async () => {
    const { id, code } = await createInvite(world.database, 60);
    expect(await stateOf(id)).to.equal('open');
    await world.test.query("update invites set expires_at = now() - interval '1 s' where code_hash = $1", [
      inviteHash(code),
    ]);
    expect(await stateOf(id)).to.equal('expired');
  });

  it('are kept as the hash of their code, and go when they are taken back', async () => {
    const { id, code } = await createInvite(world.database, 60);
    expect(inviteHash(code)).to.deep.equal(createHash('sha256').update(Buffer.from(code, 'ascii')).digest());
    expect(inviteHash(code).toString('hex').startsWith(id)).to.equal(true);
    const kept = await world.test.query('select from invites where code_hash = $1', [inviteHash(code)]);
    expect(kept).to.have.length(1);
    expect(await revokeInvite(world.database, id)).to.equal(true);
    expect(await stateOf(id)).to.equal(undefined);
  });

  it('are forgotten by their code, used or not, and no other is', async () => {
    const [used, other] = [await createInvite(world.database, 60), await createInvite(world.database, 60)];
    await world.test.query('update invites set used_by = $2, used_at = now() where code_hash = $1', [
      inviteHash(used.code),
      randomBytes(32),
    ]);
    await forgetInvite(world.database, used.code);
    expect(await stateOf(used.id)).to.equal(undefined);
    expect(await stateOf(other.id)).to.equal('open');
  });
});
