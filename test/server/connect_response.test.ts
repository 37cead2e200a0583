import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { UniversalServerResponse } from '@connectrpc/connect/protocol';
import { expect } from 'chai';
import { writeAnswer } from '../../src/server/connect_response.ts';
import { eventually } from '../support/eventually.ts';
import { RawPeer } from '../support/raw_peer.ts';

describe('writing an answer', () => {
  let server: Server;
  let answer: UniversalServerResponse;
  let whole: boolean;
  let failure: unknown;

  before(async () => {
    server = createServer((_request, response) => {
      writeAnswer(answer, response, { 'x-extra': 'yes' }, whole).catch((error: unknown) => {
        failure = error;
        response.destroy();
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  beforeEach(() => {
    failure = undefined;
  });

  const port = () => (server.address() as AddressInfo).port;
  const get = () => fetch(`http://127.0.0.1:${port()}`);
  const answered = (body: AsyncIterable<Uint8Array>): UniversalServerResponse => ({
    status: 200,
    header: new Headers({ 'x-own': 'yes' }),
    body,
  });

  it('passes on what the handler throws before its first part', async () => {
    const mistake = new Error('a mistake of the programmer');
    whole = true;
    const failing = { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(mistake) }) };
    answer = answered(failing as AsyncIterable<Uint8Array>);
    await get().catch(() => {});
    expect(failure).to.equal(mistake);
  });

  it('ends the handler when the peer goes before the last part', async () => {
    let isEnded = false;
    whole = false;
    answer = answered(
      (async function* () {
        try {
          for (;;) yield Buffer.alloc(64 * 1024);
        } finally {
          isEnded = true;
        }
      })(),
    );
    const peer = await RawPeer.connect(port());
    peer.write('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    await peer.receive(/x-own/);
    peer.destroy();
    await eventually(() => isEnded);
    expect(failure).to.equal(undefined);
  });

  it('sends a stream as it comes, and one that is whole in one piece at its end', async () => {
    for (whole of [true, false]) {
      let isAtPause = false;
      let goOn = () => {};
      answer = answered(
        (async function* () {
          yield Buffer.from('one ');
          await new Promise<void>((resolve) => {
            goOn = resolve;
            isAtPause = true;
          });
          yield Buffer.from('two');
        })(),
      );
      const peer = await RawPeer.connect(port());
      peer.write('GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n');
      await eventually(() => isAtPause);
      if (whole) expect(peer.received).to.equal('');
      else await peer.receive(/one /);
      goOn();
      await peer.receive(/x-own: yes/i);
      expect(await peer.receive(/two/)).to.match(/x-extra: yes/i);
      await peer.closed;
    }
  });
});
