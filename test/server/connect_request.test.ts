import { EventEmitter } from 'node:events';
import { expect } from 'chai';
import {
  bodyLimit,
  ENVELOPE_BYTES,
  emptyBody,
  handlerHeaders,
  jsonLimit,
  readBody,
} from '../../src/server/connect_request.ts';
import type { HttpRequest } from '../../src/server/http_messages.ts';

const CAP_MS = 1_000;

/** A request as far as its body is read. */
class FakeRequest extends EventEmitter {
  readonly headers: Record<string, string>;
  flows = false;

  constructor(headers: Record<string, string> = {}) {
    super();
    this.headers = headers;
  }

  resume(): void {
    this.flows = true;
  }
}

describe('the body of a request', () => {
  const reading = (request: FakeRequest, limit = 4) => readBody(request as unknown as HttpRequest, limit);

  it('is too large as soon as its header says so, and what comes is let in', async () => {
    const request = new FakeRequest({ 'content-length': '5' });
    expect(await reading(request)).to.equal('too large');
    expect(request.flows).to.equal(true);
  });

  it('is too large with its first byte too many, and what comes is forgotten', async () => {
    const request = new FakeRequest();
    const read = reading(request);
    for (const piece of ['abc', 'de']) request.emit('data', Buffer.from(piece));
    expect(await read).to.equal('too large');
    expect([request.flows, request.listenerCount('data')]).to.deep.equal([true, 0]);
  });

  it('is cut when the peer goes', async () => {
    for (const event of ['error', 'close']) {
      const request = new FakeRequest();
      const read = reading(request);
      request.emit('data', Buffer.from('abc'));
      request.emit(event);
      expect(await read, event).to.equal('cut');
    }
  });

  it('is whole up to its limit', async () => {
    for (const pieces of [[], ['abcd'], ['ab', 'cd']]) {
      const request = new FakeRequest({ 'content-length': '4' });
      const read = reading(request);
      for (const piece of pieces) request.emit('data', Buffer.from(piece));
      request.emit('end');
      expect(Buffer.from((await read) as Uint8Array).toString()).to.equal(pieces.join(''));
    }
  });

  it('may be longer in JSON, and by the envelope of a message', () => {
    expect(bodyLimit('application/proto', 3_000)).to.equal(3_000);
    expect(bodyLimit('application/grpc-web+proto', 3_000)).to.equal(3_000 + ENVELOPE_BYTES);
    expect(bodyLimit('application/json', 3_000)).to.equal(jsonLimit(3_000));
    expect(bodyLimit('application/connect+json', 3_000)).to.equal(jsonLimit(3_000) + ENVELOPE_BYTES);
    expect(jsonLimit(3_000)).to.be.above(4_000);
  });

  it('holds the empty message in each form', () => {
    const empty = (contentType: string) => Buffer.from(emptyBody(contentType)).toString('latin1');
    expect(empty('application/proto')).to.equal('');
    expect(empty('application/json')).to.equal('{}');
    expect(empty('application/grpc')).to.equal('\0\0\0\0\0');
    expect(empty('application/connect+json')).to.equal('\0\0\0\0\x02{}');
  });
});

describe('the headers that the handlers go by', () => {
  const kept = (headers: Record<string, string>) => {
    const found = handlerHeaders(headers, 'application/proto', CAP_MS);
    return found && Object.fromEntries(found);
  };

  it('are none when a deadline cannot be read', () => {
    for (const name of ['grpc-timeout', 'connect-timeout-ms'])
      expect(kept({ [name]: 'soon' })).to.equal(undefined);
  });

  it('have a deadline of the cap at most', () => {
    expect(kept({ 'grpc-timeout': '9H', 'connect-timeout-ms': '999999' })).to.include({
      'grpc-timeout': '1000m',
      'connect-timeout-ms': '1000',
    });
    expect(kept({ 'grpc-timeout': '7m' })).to.include({ 'grpc-timeout': '7m' });
  });

  it('repeat nothing else that the caller wrote', () => {
    expect(
      kept({ 'content-encoding': 'evil', 'grpc-encoding': 'identity', host: 'h', 'x-any': 'text' }),
    ).to.deep.equal({
      'content-type': 'application/proto',
      'content-encoding': 'unsupported',
      'grpc-encoding': 'identity',
    });
    expect(kept({ 'connect-protocol-version': '1' })).to.include({ 'connect-protocol-version': '1' });
  });
});
