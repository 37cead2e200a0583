import { expect } from 'chai';
import { ProtocolError, requireLength } from '../../src/protocol/errors.ts';
import { expectRefusal } from '../support/refusal.ts';

describe('the errors of the protocol', () => {
  it('carry a reason for programs', () => {
    const error = new ProtocolError('broken seal', 'the seal does not open');
    expect(error).to.be.instanceOf(Error);
    expect(error.name).to.equal('ProtocolError');
    expect(error.reason).to.equal('broken seal');
  });

  it('refuse a byte string that is too short or too long, and let the right one pass', async () => {
    await expectRefusal('wrong length', () => requireLength('salt', new Uint8Array(31), 32));
    await expectRefusal('wrong length', () => requireLength('salt', new Uint8Array(33), 32));
    expect(() => requireLength('salt', new Uint8Array(32), 32)).not.to.throw();
  });

  it('do not show the bytes that were refused', () => {
    expect(() => requireLength('K', Uint8Array.of(0xde, 0xad), 32)).to.throw(/^(?!.*(de|ad|222|173)).*$/);
  });
});
