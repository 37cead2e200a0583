/** Expectations about refusals of src/protocol: always by their reason, never by their message. */
import { expect } from 'chai';
import { ProtocolError, type RefusalReason } from '../../src/protocol/errors.ts';

/** Fails unless `action` throws, or rejects with, a ProtocolError of this reason. */
export async function expectRefusal(reason: RefusalReason, action: () => unknown): Promise<void> {
  let thrown: unknown;
  try {
    await action();
  } catch (error) {
    thrown = error;
  }
  expect(thrown).to.be.instanceOf(ProtocolError);
  expect((thrown as ProtocolError).reason).to.equal(reason);
}
