import { randomBytes, randomUUID } from 'node:crypto';
import { Code, type Transport } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { expect } from 'chai';
import * as data from '../../gen/passmanager/data/v1/data_service_pb.ts';
import * as session from '../../gen/passmanager/session/v1/session_service_pb.ts';
import { GROUP, padGroupElement } from '../../src/protocol/srp.ts';
import { inForce } from '../../src/server/session_handler.ts';
import {
  callUnary,
  finishLogin,
  logIn,
  makeAccount,
  type RawSession,
  reasons,
  refusalOf,
  register,
  startLogin,
  type TestAccount,
} from '../support/raw_client.ts';
import { startTestServer, type TestServer } from '../support/test_server.ts';

const { method } = session.SessionService;
const bytes = (length: number) => new Uint8Array(randomBytes(length));
const list = (opened: RawSession, requestNumber?: bigint) =>
  opened.call(method.listSessions, session.ListSessionsPayloadSchema, {}, requestNumber);

describe('SessionService', () => {
  let server: TestServer;
  let transport: Transport;
  let account: TestAccount;

  before(async () => {
    server = await startTestServer();
    transport = createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1' });
  });

  after(() => server.stop());

  beforeEach(async () => {
    account = makeAccount();
    await register(transport, account);
  });

  /** That a log-in is refused as a wrong proof is: in clear, RQS01 on the request. */
  const expectNotDecrypted = async (attempt: Promise<unknown>) => {
    const refusal = await refusalOf(attempt);
    expect(refusal.status).to.equal(Code.Unauthenticated);
    expect(refusal.sealed).to.equal(false);
    expect(reasons(refusal)).to.deep.equal([[11, 'request']]);
  };

  describe('StartSession', () => {
    it('names every invalid field', async () => {
      const refusal = await refusalOf(callUnary(transport, method.startSession, {}));
      expect(reasons(refusal)).to.deep.equal([
        [30, 'username_hash'],
        [30, 'client_protocol'],
      ]);
    });

    it('answers an unknown name as a known one: the same shape, salts that stay, another B each time', async () => {
      const unknown = bytes(32);
      const [first, second] = [await startLogin(transport, unknown), await startLogin(transport, unknown)];
      const known = await startLogin(transport, account.usernameHash);
      expect(Buffer.from(first.srpSalt)).to.deep.equal(Buffer.from(second.srpSalt));
      expect(Buffer.from(first.masterKeySalt)).to.deep.equal(Buffer.from(second.masterKeySalt));
      expect(Buffer.from(first.ephPublicB)).not.to.deep.equal(Buffer.from(second.ephPublicB));
      expect(first.srpSalt).to.have.length(known.srpSalt.length);
      expect(first.ephPublicB).to.have.length(known.ephPublicB.length);
      expect(first.serverProtocol).to.equal(known.serverProtocol);
      expect(first.kdf).to.deep.include({ algorithm: 1, memoryKib: 65_536, iterations: 3, parallelism: 1 });
    });

    it('speaks the lower of the two protocols and keeps the client’s number in the proof', async () => {
      const started = await callUnary(transport, method.startSession, {
        usernameHash: account.usernameHash,
        clientProtocol: 4_294_967_295,
      });
      expect(started.serverProtocol).to.equal(1);
      await expectNotDecrypted(finishLogin(transport, account, started));
    });
  });

  describe('AuthenticateSession', () => {
    it('names every invalid field and consumes nothing', async () => {
      const started = await startLogin(transport, account.usernameHash);
      const refusal = await refusalOf(
        callUnary(transport, method.authenticateSession, {
          usernameHash: account.usernameHash,
          ephemeralId: started.ephemeralId,
          ephPublicA: bytes(511),
          clientProofM1: bytes(31),
          maximumRequests: -2n,
          expirySeconds: -2n,
        }),
      );
      expect(reasons(refusal)).to.deep.equal([
        [30, 'eph_public_a'],
        [30, 'client_proof_m1'],
        [30, 'maximum_requests'],
        [30, 'expiry_seconds'],
      ]);
      await finishLogin(transport, account, started);
    });

    it('refuses a wrong proof and consumes the attempt', async () => {
      const started = await startLogin(transport, account.usernameHash);
      await expectNotDecrypted(
        finishLogin(transport, account, started, {
          tamper: (request) => void Object.assign(request, { clientProofM1: bytes(32) }),
        }),
      );
      await expectNotDecrypted(finishLogin(transport, account, started));
    });

    for (const [name, element] of [
      ['0', padGroupElement(0n)],
      ['N', padGroupElement(GROUP.N)],
      ['N + 1', padGroupElement(GROUP.N + 1n)],
      ['the largest number of 512 bytes', new Uint8Array(512).fill(255)],
    ] as const) {
      it(`refuses ${name} for A like a wrong proof, and consumes the attempt`, async () => {
        const started = await startLogin(transport, account.usernameHash);
        await expectNotDecrypted(
          finishLogin(transport, account, started, {
            tamper: (request) => void Object.assign(request, { ephPublicA: element }),
          }),
        );
        await expectNotDecrypted(finishLogin(transport, account, started));
      });
    }

    it('refuses an unknown attempt, a spent one, one of another name and an expired one alike', async () => {
      await expectNotDecrypted(
        finishLogin(transport, account, {
          ...(await startLogin(transport, account.usernameHash)),
          ephemeralId: randomUUID(),
        }),
      );
      const spent = await startLogin(transport, account.usernameHash);
      await finishLogin(transport, account, spent);
      await expectNotDecrypted(finishLogin(transport, account, spent));
      const other = makeAccount();
      await register(transport, other);
      const foreign = await startLogin(transport, account.usernameHash);
      await expectNotDecrypted(
        finishLogin(transport, account, foreign, {
          tamper: (request) => void Object.assign(request, { usernameHash: other.usernameHash }),
        }),
      );
      const expired = await startLogin(transport, account.usernameHash);
      await server.database.query(
        "update auth_ephemerals set expires_at = now() - interval '1 second' where id = $1",
        [expired.ephemeralId],
      );
      await expectNotDecrypted(finishLogin(transport, account, expired));
    });

    it('refuses a decoy like a wrong password', async () => {
      const nobody = makeAccount();
      await expectNotDecrypted(logIn(transport, nobody));
    });

    it('refuses a proof that was made for other limits', async () => {
      for (const change of [{ maximumRequests: 5n }, { expirySeconds: 5n }]) {
        await expectNotDecrypted(
          logIn(transport, account, { tamper: (request) => void Object.assign(request, change) }),
        );
      }
    });

    it('lets one of ten proofs for one attempt in', async () => {
      const started = await startLogin(transport, account.usernameHash);
      const results = await Promise.allSettled(
        Array.from({ length: 10 }, () => finishLogin(transport, account, started)),
      );
      expect(results.filter(({ status }) => status === 'fulfilled')).to.have.length(1);
    });

    it('lets twelve log-ins of one account in side by side', async () => {
      await Promise.all(Array.from({ length: 12 }, () => logIn(transport, account)));
    });

    it('answers the limits in force and the vault header, sealed', async () => {
      const byDefault = await logIn(transport, account);
      expect(byDefault.result).to.deep.include({
        maximumRequests: 100n,
        expirySeconds: 3_600n,
        serverFeatures: [],
      });
      expect(Buffer.from(byDefault.result.encryptedVaultHeader)).to.deep.equal(
        Buffer.from(account.encryptedVaultHeader),
      );
      const unlimited = await logIn(transport, account, { maximumRequests: -1n, expirySeconds: -1n });
      expect(unlimited.result).to.deep.include({ maximumRequests: -1n, expirySeconds: -1n });
      const huge = await logIn(transport, account, {
        maximumRequests: 2n ** 62n,
        expirySeconds: 2n ** 63n - 1n,
      });
      expect(huge.result).to.deep.include({ maximumRequests: 2n ** 32n, expirySeconds: 2n ** 32n });
    });

    it('ends the session that was used longest ago when a 65th begins', async () => {
      const sessions: RawSession[] = [];
      for (let count = 0; count < 64; count += 1) sessions.push(await logIn(transport, account));
      await list(sessions[0]!);
      const newest = await logIn(transport, account);
      await expectNotDecrypted(list(sessions[1]!));
      for (const kept of [sessions[0]!, sessions[2]!, newest]) await list(kept);
      expect((await list(newest)).sessions).to.have.length(64);
    });
  });

  describe('a session', () => {
    it('ends with its last request', async () => {
      const opened = await logIn(transport, account, { maximumRequests: 2n });
      await list(opened);
      await list(opened);
      await expectNotDecrypted(list(opened));
      const other = await logIn(transport, account);
      expect(
        (await list(other)).sessions.map(({ sessionId }: { sessionId: string }) => sessionId),
      ).to.deep.equal([other.sessionId]);
    });

    it('ends when it expires', async () => {
      const opened = await logIn(transport, account, { expirySeconds: 60n });
      await list(opened);
      await server.database.query(
        "update login_sessions set expires_at = now() - interval '1 second' where id = $1",
        [opened.sessionId],
      );
      await expectNotDecrypted(list(opened));
    });

    it('takes numbers in any order within the window and none twice', async () => {
      const opened = await logIn(transport, account);
      for (const number of [5n, 3n, 70n, 7n, 69n]) await list(opened, number);
      for (const number of [5n, 3n, 70n, 7n, 6n, 0n]) await expectNotDecrypted(list(opened, number));
      await list(opened, 8n);
    });

    it('takes 2^53-1 for a number and nothing above', async () => {
      const opened = await logIn(transport, account);
      await expectNotDecrypted(list(opened, 2n ** 53n));
      await list(opened, 2n ** 53n - 1n);
      await expectNotDecrypted(list(opened, 0n));
    });

    it('refuses a seal for another method, another number, another session, and a broken one', async () => {
      const opened = await logIn(transport, account);
      const other = await logIn(transport, account);
      const entryId = randomUUID();
      const entry = { entryId, entryName: bytes(93), entryData: bytes(285) };
      await opened.call(data.DataService.method.createEntry, data.CreateEntryPayloadSchema, entry);
      const get = '/passmanager.data.v1.DataService/GetEntry';
      const payload = Buffer.concat([Buffer.from([0x0a, 36]), Buffer.from(entryId)]);
      const secure = await opened.envelope(get, payload, 1n);
      await expectNotDecrypted(opened.send(data.DataService.method.deleteEntry, secure, 1n));
      await expectNotDecrypted(
        opened.send(data.DataService.method.getEntry, { ...secure, requestNumber: 2n }, 2n),
      );
      await expectNotDecrypted(
        opened.send(data.DataService.method.getEntry, { ...secure, sessionId: other.sessionId }, 1n),
      );
      await expectNotDecrypted(
        opened.send(
          data.DataService.method.getEntry,
          { ...secure, sessionId: opened.sessionId.toUpperCase() },
          1n,
        ),
      );
      const broken = secure.encryptedData.map((byte, index) => (index === 30 ? byte ^ 1 : byte));
      await expectNotDecrypted(
        opened.send(data.DataService.method.getEntry, { ...secure, encryptedData: broken }, 1n),
      );
      await expectNotDecrypted(
        opened.send(data.DataService.method.getEntry, { ...secure, encryptedData: new Uint8Array(0) }, 1n),
      );
      const got = await opened.send(data.DataService.method.getEntry, secure, 1n);
      expect(got.entryId).to.equal(entryId);
      await expectNotDecrypted(opened.send(data.DataService.method.getEntry, secure, 1n));
    });

    it('refuses an unknown session like a broken seal, and a request without an envelope as RQS00', async () => {
      const opened = await logIn(transport, account);
      await expectNotDecrypted(
        opened.send(
          data.DataService.method.getEntry,
          { sessionId: randomUUID(), requestNumber: 0n, encryptedData: bytes(60) },
          0n,
        ),
      );
      const refusal = await refusalOf(callUnary(transport, method.listSessions, {}));
      expect(refusal.status).to.equal(Code.InvalidArgument);
      expect(reasons(refusal)).to.deep.equal([[10, 'request']]);
    });
  });

  describe('ListSessions', () => {
    it('tells each session’s limits and which one asks', async () => {
      const limited = await logIn(transport, account, { maximumRequests: 10n, expirySeconds: 60n });
      const unlimited = await logIn(transport, account, { maximumRequests: -1n, expirySeconds: -1n });
      const { sessions } = await list(limited);
      expect(sessions.map(({ sessionId }: { sessionId: string }) => sessionId)).to.deep.equal([
        limited.sessionId,
        unlimited.sessionId,
      ]);
      const [first, second] = sessions;
      expect(first).to.deep.include({ kind: 1, remainingRequests: 9n, current: true });
      expect(Number(first.expiryTime.seconds - first.createTime.seconds)).to.be.within(59, 61);
      expect(second).to.deep.include({ kind: 1, remainingRequests: -1n, current: false });
      expect(second.expiryTime).to.equal(undefined);
    });
  });

  describe('DeleteSession', () => {
    const remove = (opened: RawSession, sessionId: string) =>
      opened.call(method.deleteSession, session.DeleteSessionPayloadSchema, { sessionId });

    it('refuses an id of another form, an unknown one and somebody else’s', async () => {
      const opened = await logIn(transport, account);
      expect(reasons(await refusalOf(remove(opened, 'x')))).to.deep.equal([[30, 'session_id']]);
      const stranger = makeAccount();
      await register(transport, stranger);
      const foreign = await logIn(transport, stranger);
      for (const id of [randomUUID(), foreign.sessionId]) {
        const refusal = await refusalOf(remove(opened, id));
        expect(refusal.status).to.equal(Code.NotFound);
        expect(reasons(refusal)).to.deep.equal([[31, 'session_id']]);
      }
      await list(foreign);
    });

    it('ends another session and its own', async () => {
      const [opened, other] = [await logIn(transport, account), await logIn(transport, account)];
      expect((await remove(opened, other.sessionId)).sessionId).to.equal(other.sessionId);
      await expectNotDecrypted(list(other));
      await remove(opened, opened.sessionId);
      await expectNotDecrypted(list(opened));
    });

    it('ends its own with the last request that it may take', async () => {
      const opened = await logIn(transport, account, { maximumRequests: 1n });
      expect((await remove(opened, opened.sessionId)).sessionId).to.equal(opened.sessionId);
    });
  });

  it('DeleteAllSessions ends all, its own too', async () => {
    const [opened, other] = [await logIn(transport, account), await logIn(transport, account)];
    await opened.call(method.deleteAllSessions, session.DeleteAllSessionsPayloadSchema, {});
    await expectNotDecrypted(list(opened));
    await expectNotDecrypted(list(other));
  });
});

describe('a limit in force', () => {
  it('is the default for 0, itself up to 2^32, and never above a cap', () => {
    expect(inForce(0n, 100, undefined)).to.equal(100n);
    expect(inForce(-1n, 100, undefined)).to.equal(-1n);
    expect(inForce(7n, 100, undefined)).to.equal(7n);
    expect(inForce(2n ** 40n, 100, undefined)).to.equal(2n ** 32n);
    expect(inForce(-1n, 100, 50)).to.equal(50n);
    expect(inForce(0n, 100, 50)).to.equal(50n);
    expect(inForce(7n, 100, 50)).to.equal(7n);
    expect(inForce(70n, 100, 50)).to.equal(50n);
  });
});
