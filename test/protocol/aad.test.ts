import { expect } from 'chai';
import {
  entryDataAad,
  entryNameAad,
  failureAad,
  loginResultAad,
  methodPath,
  requestAad,
  responseAad,
  streamAad,
  vaultHeaderAad,
} from '../../src/protocol/aad.ts';
import { bytesToHex, frame, u64 } from '../../src/protocol/bytes.ts';
import { expectRefusal } from '../support/refusal.ts';

const METHOD = '/passmanager.data.v1.DataService/GetEntry';
const SESSION = '0a6580e4-35ce-49de-8064-bebc2548185a';

describe('associated data', () => {
  it('names a method by its full path', () => {
    expect(
      methodPath({ parent: { typeName: 'passmanager.data.v1.DataService' }, name: 'GetEntry' }),
    ).to.equal(METHOD);
  });

  it('is refused for a number that does not fit 64 bits', async () => {
    for (const n of [-1n, 2n ** 64n]) {
      await expectRefusal('out of range', () => requestAad(METHOD, SESSION, n));
      await expectRefusal('out of range', () => responseAad(METHOD, SESSION, n));
      await expectRefusal('out of range', () => failureAad(METHOD, SESSION, n));
      await expectRefusal('out of range', () => streamAad(METHOD, SESSION, n, 0n));
      await expectRefusal('out of range', () => streamAad(METHOD, SESSION, 0n, n));
    }
  });

  it('is a frame of label, method, session and number', () => {
    expect(requestAad(METHOD, SESSION, 7n)).to.deep.equal(
      frame('passmanager/v1 request', METHOD, SESSION, u64(7n)),
    );
    expect(responseAad(METHOD, SESSION, 7n)).to.deep.equal(
      frame('passmanager/v1 response', METHOD, SESSION, u64(7n)),
    );
    expect(failureAad(METHOD, SESSION, 7n)).to.deep.equal(
      frame('passmanager/v1 failure', METHOD, SESSION, u64(7n)),
    );
    expect(streamAad(METHOD, SESSION, 7n, 2n)).to.deep.equal(
      frame('passmanager/v1 stream', METHOD, SESSION, u64(7n), u64(2n)),
    );
  });

  it('is a frame of label and id for what is stored', () => {
    expect(loginResultAad(SESSION)).to.deep.equal(frame('passmanager/v1 login result', SESSION));
    expect(vaultHeaderAad()).to.deep.equal(frame('passmanager/v1 vault header'));
    expect(entryNameAad(SESSION)).to.deep.equal(frame('passmanager/v1 entry name', SESSION));
    expect(entryDataAad(SESSION)).to.deep.equal(frame('passmanager/v1 entry data', SESSION));
  });

  it('is never the same for two meanings', () => {
    const all = [
      requestAad(METHOD, SESSION, 0n),
      requestAad(METHOD, SESSION, 1n),
      requestAad(METHOD.replace('Get', 'Delete'), SESSION, 0n),
      requestAad(METHOD, SESSION.replace('0', '1'), 0n),
      requestAad(`${METHOD}0`, SESSION.slice(1), 0n),
      responseAad(METHOD, SESSION, 0n),
      failureAad(METHOD, SESSION, 0n),
      streamAad(METHOD, SESSION, 0n, 0n),
      streamAad(METHOD, SESSION, 0n, 1n),
      streamAad(METHOD, SESSION, 1n, 0n),
      loginResultAad(SESSION),
      vaultHeaderAad(),
      entryNameAad(SESSION),
      entryDataAad(SESSION),
    ].map(bytesToHex);
    expect(new Set(all).size).to.equal(all.length);
  });
});
