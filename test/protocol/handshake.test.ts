import { expect } from 'chai';
import { bytesToHex, concatBytes, frame, i64, sha256, u32, utf8 } from '../../src/protocol/bytes.ts';
import {
  type AnnouncedCredentials,
  type LoginHandshake,
  loginContext,
  PROTOCOL_VERSION,
  passwordChangeContext,
  passwordCommitContext,
  pendingDigest,
} from '../../src/protocol/handshake.ts';
import { DEFAULT_KDF_PARAMETERS, kdfBytes } from '../../src/protocol/kdf.ts';
import { expectRefusal } from '../support/refusal.ts';

const filled = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value);

const LOGIN: LoginHandshake = {
  usernameHash: filled(32, 1),
  srpSalt: filled(32, 2),
  masterKeySalt: filled(32, 3),
  kdf: DEFAULT_KDF_PARAMETERS,
  maximumRequests: 100n,
  expirySeconds: -1n,
  clientProtocol: 1,
  serverProtocol: 2,
};
const ANNOUNCED: AnnouncedCredentials = {
  srpSalt: filled(32, 4),
  srpVerifier: filled(512, 5),
  masterKeySalt: filled(32, 6),
  kdf: DEFAULT_KDF_PARAMETERS,
  encryptedVaultHeader: filled(285, 7),
};
const SESSION = '0a6580e4-35ce-49de-8064-bebc2548185a';

describe('the context of a login', () => {
  it('is refused with a hash or salt of another length', async () => {
    for (const field of ['usernameHash', 'srpSalt', 'masterKeySalt'] as const) {
      for (const length of [0, 31, 33]) {
        await expectRefusal('wrong length', () =>
          loginContext({ ...LOGIN, [field]: new Uint8Array(length) }),
        );
      }
    }
  });

  it('is refused with limits and protocols that do not fit their width', async () => {
    const changes = [
      { maximumRequests: 2n ** 63n },
      { expirySeconds: -(2n ** 63n) - 1n },
      { clientProtocol: -1 },
    ];
    for (const change of changes)
      await expectRefusal('out of range', () => loginContext({ ...LOGIN, ...change }));
    await expectRefusal('out of range', () => loginContext({ ...LOGIN, serverProtocol: 2 ** 32 }));
  });

  it('frames all that was said in clear', () => {
    expect(loginContext(LOGIN)).to.deep.equal(
      frame(
        'passmanager/v1 login',
        LOGIN.usernameHash,
        LOGIN.srpSalt,
        LOGIN.masterKeySalt,
        kdfBytes(LOGIN.kdf),
        i64(100n),
        i64(-1n),
        concatBytes(u32(1), u32(2)),
        new Uint8Array(0),
      ),
    );
  });

  it('changes with each single thing that was said', () => {
    const changes: Partial<LoginHandshake>[] = [
      {},
      { usernameHash: filled(32, 9) },
      { srpSalt: filled(32, 9) },
      { masterKeySalt: filled(32, 9) },
      { kdf: { ...LOGIN.kdf, algorithm: 2 } },
      { kdf: { ...LOGIN.kdf, memoryKib: 19_456 } },
      { kdf: { ...LOGIN.kdf, iterations: 2 } },
      { kdf: { ...LOGIN.kdf, parallelism: 2 } },
      { maximumRequests: 0n },
      { expirySeconds: 0n },
      { clientProtocol: 2 },
      { serverProtocol: 1 },
    ];
    const contexts = changes.map((change) => bytesToHex(loginContext({ ...LOGIN, ...change })));
    expect(new Set(contexts).size).to.equal(changes.length);
  });

  it('speaks of protocol 1', () => {
    expect(PROTOCOL_VERSION).to.equal(1);
  });
});

describe('the contexts of a password change', () => {
  const pending = pendingDigest(ANNOUNCED);

  it('are refused with a salt or digest of another length', async () => {
    for (const broken of [
      { pending: filled(31, 0) },
      { srpSalt: filled(33, 0) },
      { masterKeySalt: filled(0, 0) },
    ]) {
      await expectRefusal('wrong length', () =>
        passwordChangeContext({ ...ANNOUNCED, sessionId: SESSION, pending, ...broken }),
      );
      await expectRefusal('wrong length', () =>
        passwordCommitContext({ ...ANNOUNCED, changeSessionId: SESSION, pending, ...broken }),
      );
    }
  });

  it('frame the session, no limits and what is pending, each with a label of its own', () => {
    const rest = [
      utf8(SESSION),
      ANNOUNCED.srpSalt,
      ANNOUNCED.masterKeySalt,
      kdfBytes(ANNOUNCED.kdf),
      new Uint8Array(8),
      new Uint8Array(8),
      new Uint8Array(8),
      pending,
    ];
    expect(passwordChangeContext({ ...ANNOUNCED, sessionId: SESSION, pending })).to.deep.equal(
      frame('passmanager/v1 password change', ...rest),
    );
    expect(passwordCommitContext({ ...ANNOUNCED, changeSessionId: SESSION, pending })).to.deep.equal(
      frame('passmanager/v1 password commit', ...rest),
    );
  });
});

describe('the digest of what is pending', () => {
  it('is refused with a salt or verifier of another length', async () => {
    const broken = [
      { srpSalt: filled(31, 0) },
      { masterKeySalt: filled(33, 0) },
      { srpVerifier: filled(511, 0) },
    ];
    for (const change of broken) {
      await expectRefusal('wrong length', () => pendingDigest({ ...ANNOUNCED, ...change }));
    }
  });

  it('is a hash of the framed credentials', () => {
    const { srpSalt, srpVerifier, masterKeySalt, kdf, encryptedVaultHeader } = ANNOUNCED;
    expect(pendingDigest(ANNOUNCED)).to.deep.equal(
      sha256(frame(srpSalt, srpVerifier, masterKeySalt, kdfBytes(kdf), encryptedVaultHeader)),
    );
  });

  it('changes with each part', () => {
    const changes: Partial<AnnouncedCredentials>[] = [
      {},
      { srpSalt: filled(32, 9) },
      { srpVerifier: filled(512, 9) },
      { masterKeySalt: filled(32, 9) },
      { kdf: { ...ANNOUNCED.kdf, parallelism: 2 } },
      { encryptedVaultHeader: filled(286, 7) },
    ];
    const digests = changes.map((change) => bytesToHex(pendingDigest({ ...ANNOUNCED, ...change })));
    expect(new Set(digests).size).to.equal(changes.length);
  });
});
