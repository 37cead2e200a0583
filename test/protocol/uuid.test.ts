import { expect } from 'chai';
import fc from 'fast-check';
import { isUuid } from '../../src/protocol/uuid.ts';

const UUID = '0a6580e4-35ce-49de-8064-bebc2548185a';

describe('a UUID on the wire', () => {
  it('is refused in any other form', () => {
    const others = [
      '',
      UUID.toUpperCase(),
      `{${UUID}}`,
      `urn:uuid:${UUID}`,
      UUID.replaceAll('-', ''),
      ` ${UUID}`,
      `${UUID}\n`,
      `${UUID}0`,
      UUID.slice(1),
      UUID.replace('a', 'g'),
      UUID.replace('0', '٠'),
      UUID.replaceAll('-', '_'),
      `\n${UUID}`,
      `${UUID}\n${UUID}`,
    ];
    for (const text of others) expect(isUuid(text), text).to.equal(false);
  });

  it('is accepted whatever its version and variant', () => {
    expect(isUuid(UUID)).to.equal(true);
    expect(isUuid('00000000-0000-0000-0000-000000000000')).to.equal(true);
    expect(isUuid('ffffffff-ffff-ffff-ffff-ffffffffffff')).to.equal(true);
    fc.assert(
      fc.property(fc.uuid(), (text) => {
        expect(isUuid(text)).to.equal(true);
      }),
    );
  });

  it('is what the platform makes', () => {
    expect(isUuid(crypto.randomUUID())).to.equal(true);
  });
});
