import { expect } from 'chai';
import { authorityOf, DEFAULT_DOOR_LIMITS, peerAddress } from '../../src/server/door.ts';

describe('peerAddress', () => {
  it('writes an IPv4 address inside IPv6 as plain IPv4, so that a rate limit counts both as one', () => {
    expect(peerAddress('::ffff:192.0.2.7')).to.equal('192.0.2.7');
  });

  it('leaves other addresses as they are', () => {
    expect(peerAddress('192.0.2.7')).to.equal('192.0.2.7');
    expect(peerAddress('2001:db8::7')).to.equal('2001:db8::7');
  });

  it('has a word for a peer that is gone', () => {
    expect(peerAddress(undefined)).to.equal('unknown');
  });
});

describe('authorityOf', () => {
  it('puts an IPv6 address in brackets and leaves others as they are', () => {
    expect(authorityOf({ host: '::1', port: 1 })).to.equal('[::1]:1');
    expect(authorityOf({ host: '127.0.0.1', port: 1 })).to.equal('127.0.0.1:1');
    expect(authorityOf({ host: 'localhost', port: 1 })).to.equal('localhost:1');
  });
});

describe('DEFAULT_DOOR_LIMITS', () => {
  it('takes messages of 4 MiB, the size of the contract', () => {
    expect(DEFAULT_DOOR_LIMITS.maxMessageBytes).to.equal(4_194_304);
  });

  it('has room for several full messages on one connection', () => {
    const { maxConnectionMemoryMb, maxMessageBytes } = DEFAULT_DOOR_LIMITS;
    expect(maxConnectionMemoryMb * 1e6).to.be.greaterThan(4 * maxMessageBytes);
  });

  it('keeps every time below 2^31 ms, where timers overflow', () => {
    for (const value of Object.values(DEFAULT_DOOR_LIMITS)) expect(value).to.be.within(1, 2 ** 31 - 1);
  });
});
