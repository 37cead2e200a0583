import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { Code, type Transport } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { expect } from 'chai';
import * as session from '../../gen/passmanager/session/v1/session_service_pb.ts';
import * as user from '../../gen/passmanager/user/v1/user_service_pb.ts';
import { GROUP, padGroupElement } from '../../src/protocol/srp.ts';
import {
  callUnary,
  finishLogin,
  logIn,
  makeAccount,
  reasons,
  refusalOf,
  register,
  startLogin,
} from '../support/raw_client.ts';
import { startTestServer, type TestServer } from '../support/test_server.ts';

const { method } = user.UserService;
const hash = () => new Uint8Array(randomBytes(32));

describe('UserService', () => {
  let server: TestServer;
  let transport: Transport;

  before(async () => {
    server = await startTestServer();
    transport = createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1' });
  });

  after(() => server.stop());

  const users = async () => Number((await server.database.query('select count(*) from users'))[0]!.count);

  describe('RegisterUser', () => {
    it('names every invalid field at once, in payload order, and makes nothing', async () => {
      const before = await users();
      const refusal = await refusalOf(callUnary(transport, method.registerUser, {}));
      expect(refusal.status).to.equal(Code.InvalidArgument);
      expect(refusal.sealed).to.equal(false);
      expect(reasons(refusal)).to.deep.equal([
        [30, 'username_hash'],
        [30, 'srp_salt'],
        [30, 'srp_verifier'],
        [30, 'master_key_salt'],
        [30, 'kdf'],
        [30, 'encrypted_vault_header'],
      ]);
      expect(await users()).to.equal(before);
    });

    for (const [name, verifier] of [
      ['0', padGroupElement(0n)],
      ['1', padGroupElement(1n)],
      ['N-1', padGroupElement(GROUP.N - 1n)],
      ['N', padGroupElement(GROUP.N)],
      ['511 bytes', new Uint8Array(511).fill(1)],
      ['513 bytes', new Uint8Array(513).fill(1)],
    ] as const) {
      it(`refuses ${name} as a verifier`, async () => {
        const refusal = await refusalOf(register(transport, { ...makeAccount(), srpVerifier: verifier }));
        expect(reasons(refusal)).to.deep.equal([[30, 'srp_verifier']]);
      });
    }

    for (const [field, kdf] of [
      ['algorithm', { algorithm: 0 }],
      ['algorithm', { algorithm: 2 }],
      ['memory_kib', { memoryKib: 19_455 }],
      ['memory_kib', { memoryKib: 1_048_577 }],
      ['iterations', { iterations: 1 }],
      ['iterations', { iterations: 65 }],
      ['parallelism', { parallelism: 0 }],
      ['parallelism', { parallelism: 17 }],
    ] as const) {
      it(`refuses KDF parameters with ${JSON.stringify(kdf)}`, async () => {
        const account = makeAccount();
        const refusal = await refusalOf(register(transport, { ...account, kdf: { ...account.kdf, ...kdf } }));
        expect(reasons(refusal)).to.deep.equal([[30, `kdf.${field}`]]);
      });
    }

    for (const size of [0, 29, 16_385]) {
      it(`refuses a vault header of ${size} bytes`, async () => {
        const account = { ...makeAccount(), encryptedVaultHeader: new Uint8Array(size) };
        expect(reasons(await refusalOf(register(transport, account)))).to.deep.equal([
          [30, 'encrypted_vault_header'],
        ]);
      });
    }

    it('takes vault headers of 30 and of 16,384 bytes', async () => {
      for (const size of [30, 16_384]) {
        await register(transport, { ...makeAccount(), encryptedVaultHeader: new Uint8Array(size) });
      }
    });

    it('succeeds again with the same bytes and refuses other bytes for the name', async () => {
      const account = makeAccount();
      const first = await register(transport, account);
      expect(Buffer.from(first.usernameHash)).to.deep.equal(Buffer.from(account.usernameHash));
      await register(transport, account);
      const { srpSalt } = makeAccount();
      const refusal = await refusalOf(register(transport, { ...account, srpSalt }));
      expect(refusal.status).to.equal(Code.AlreadyExists);
      expect(reasons(refusal)).to.deep.equal([[40, 'username_hash']]);
      await logIn(transport, account);
    });

    it('makes one account of twenty registrations of a name at once', async () => {
      const before = await users();
      const name = randomUUID();
      const results = await Promise.allSettled(
        Array.from({ length: 20 }, () => register(transport, makeAccount(name))),
      );
      expect(results.filter(({ status }) => status === 'fulfilled')).to.have.length(1);
      expect(await users()).to.equal(before + 1);
    });

    it('stores nothing in clear: neither the name’s hash nor salts, verifier or header', async () => {
      const account = makeAccount();
      await register(transport, account);
      const rows = await server.database.query('select to_jsonb(u)::text as text from users u');
      const all = rows.map(({ text }) => text).join('');
      for (const secret of [
        account.usernameHash,
        account.srpSalt,
        account.srpVerifier,
        account.masterKeySalt,
        account.encryptedVaultHeader,
      ]) {
        expect(all).not.to.include(Buffer.from(secret).toString('hex'));
      }
    });
  });

  describe('RegisterUser by invite', () => {
    let invited: TestServer;
    let door: Transport;

    before(async () => {
      invited = await startTestServer({ settings: { PASSMANAGER_REGISTRATION: 'invite' } });
      door = createConnectTransport({ baseUrl: invited.httpUrl, httpVersion: '1.1' });
    });

    after(() => invited.stop());

    const invite = async (expiresAt: string | null = null) => {
      const code = randomUUID();
      const codeHash = createHash('sha256').update(code).digest();
      await invited.database.query('insert into invites (code_hash, expires_at) values ($1, $2)', [
        codeHash,
        expiresAt,
      ]);
      return code;
    };

    it('refuses no code, an unknown one and an expired one alike', async () => {
      for (const code of ['', 'unknown', await invite('2020-01-01')]) {
        const refusal = await refusalOf(register(door, makeAccount(), code));
        expect(refusal.status).to.equal(Code.PermissionDenied);
        expect(reasons(refusal)).to.deep.equal([[46, 'invite_code']]);
      }
    });

    it('takes a code once, and again from the very name that used it', async () => {
      const code = await invite('2100-01-01');
      const account = makeAccount();
      await register(door, account, code);
      await register(door, account, code);
      const other = { ...account, srpSalt: makeAccount().srpSalt };
      expect(reasons(await refusalOf(register(door, other, code)))).to.deep.equal([[40, 'username_hash']]);
      expect(reasons(await refusalOf(register(door, makeAccount(), code)))).to.deep.equal([
        [46, 'invite_code'],
      ]);
    });

    it('checks the invite before the name, and a failed registration uses none', async () => {
      const first = makeAccount();
      await register(door, first, await invite());
      const code = await invite();
      const taken = { ...first, srpSalt: makeAccount().srpSalt };
      expect(reasons(await refusalOf(register(door, taken, 'bad')))).to.deep.equal([[46, 'invite_code']]);
      expect(reasons(await refusalOf(register(door, taken, code)))).to.deep.equal([[40, 'username_hash']]);
      await register(door, makeAccount(), code);
    });

    it('lets one of ten names in when they come with one code at once', async () => {
      const code = await invite();
      const results = await Promise.allSettled(
        Array.from({ length: 10 }, () => register(door, makeAccount(), code)),
      );
      expect(results.filter(({ status }) => status === 'fulfilled')).to.have.length(1);
    });
  });

  it('registers as many accounts as the server has room for, however many come at once, and the same again', async () => {
    const small = await startTestServer({ settings: { PASSMANAGER_MAX_USERS: '3' } });
    try {
      const door = createConnectTransport({ baseUrl: small.httpUrl, httpVersion: '1.1' });
      const accounts = Array.from({ length: 8 }, () => makeAccount());
      const outcomes = await Promise.allSettled(accounts.map((account) => register(door, account)));
      const inside = accounts.filter((_, index) => outcomes[index]!.status === 'fulfilled');
      expect(inside).to.have.length(3);
      const refusal = await refusalOf(register(door, makeAccount()));
      expect(reasons(refusal)).to.deep.equal([[13, 'request']]);
      await register(door, inside[0]!);
      expect(await small.database.query('select from users')).to.have.length(3);
    } finally {
      await small.stop();
    }
  });

  it('registers nobody where registration is closed, with or without a code', async () => {
    const closed = await startTestServer({ settings: { PASSMANAGER_REGISTRATION: 'closed' } });
    try {
      const door = createConnectTransport({ baseUrl: closed.httpUrl, httpVersion: '1.1' });
      expect(reasons(await refusalOf(register(door, makeAccount(), 'code')))).to.deep.equal([
        [46, 'invite_code'],
      ]);
    } finally {
      await closed.stop();
    }
  });

  describe('ChangeUsername', () => {
    const change = (
      opened: Awaited<ReturnType<typeof logIn>>,
      newUsernameHash: Uint8Array,
      requestNumber?: bigint,
    ) =>
      opened.call(
        method.changeUsername,
        user.ChangeUsernamePayloadSchema,
        { newUsernameHash },
        requestNumber,
      );

    it('wants request number 0 with no other accepted before', async () => {
      const account = makeAccount();
      await register(transport, account);
      for (const before of [
        async (opened: Awaited<ReturnType<typeof logIn>>) => {
          await opened.call(
            session.SessionService.method.listSessions,
            session.ListSessionsPayloadSchema,
            {},
          );
          return opened.next;
        },
        async () => 1n,
        async (opened: Awaited<ReturnType<typeof logIn>>) => {
          await opened.call(
            session.SessionService.method.listSessions,
            session.ListSessionsPayloadSchema,
            {},
            5n,
          );
          return 0n;
        },
      ]) {
        const opened = await logIn(transport, account);
        const refusal = await refusalOf(change(opened, hash(), await before(opened)));
        expect(refusal.status).to.equal(Code.FailedPrecondition);
        expect(refusal.sealed).to.equal(true);
        expect(reasons(refusal)).to.deep.equal([[41, 'request']]);
      }
      await logIn(transport, account);
    });

    it('refuses a name that somebody has, sealed, and a name of another length', async () => {
      const [mine, theirs] = [makeAccount(), makeAccount()];
      await register(transport, mine);
      await register(transport, theirs);
      const taken = await refusalOf(change(await logIn(transport, mine), theirs.usernameHash));
      expect(taken.status).to.equal(Code.AlreadyExists);
      expect(reasons(taken)).to.deep.equal([[40, 'new_username_hash']]);
      const short = await refusalOf(change(await logIn(transport, mine), new Uint8Array(31)));
      expect(reasons(short)).to.deep.equal([[30, 'new_username_hash']]);
      await logIn(transport, mine);
    });

    it('moves the account with its sessions, and frees the old name', async () => {
      const account = makeAccount();
      await register(transport, account);
      const other = await logIn(transport, account);
      const opened = await logIn(transport, account);
      const renamed = { ...account, usernameHash: hash() };
      const result = await change(opened, renamed.usernameHash);
      expect(Buffer.from(result.usernameHash)).to.deep.equal(Buffer.from(renamed.usernameHash));
      await other.call(session.SessionService.method.listSessions, session.ListSessionsPayloadSchema, {});
      await logIn(transport, renamed);
      expect((await refusalOf(logIn(transport, account))).status).to.equal(Code.Unauthenticated);
      await register(transport, { ...makeAccount(), usernameHash: account.usernameHash });
    });

    it('succeeds for one’s own name', async () => {
      const account = makeAccount();
      await register(transport, account);
      await change(await logIn(transport, account), account.usernameHash);
      await logIn(transport, account);
    });

    it('ends a log-in that was under way', async () => {
      const account = makeAccount();
      await register(transport, account);
      const opened = await logIn(transport, account);
      const started = await startLogin(transport, account.usernameHash);
      await change(opened, hash());
      const refusal = await refusalOf(finishLogin(transport, account, started));
      expect(refusal.status).to.equal(Code.Unauthenticated);
      expect(reasons(refusal)).to.deep.equal([[11, 'request']]);
    });
  });

  describe('DeleteUser', () => {
    const remove = (opened: Awaited<ReturnType<typeof logIn>>, requestNumber?: bigint) =>
      opened.call(
        method.deleteUser,
        user.DeleteUserPayloadSchema,
        create(user.DeleteUserPayloadSchema),
        requestNumber,
      );

    it('wants request number 0', async () => {
      const account = makeAccount();
      await register(transport, account);
      expect(reasons(await refusalOf(remove(await logIn(transport, account), 1n)))).to.deep.equal([
        [41, 'request'],
      ]);
      await logIn(transport, account);
    });

    it('leaves no row of the user, ends every session, and frees the name', async () => {
      const account = makeAccount();
      await register(transport, account);
      const other = await logIn(transport, account);
      await startLogin(transport, account.usernameHash);
      await remove(await logIn(transport, account));
      for (const table of ['login_sessions', 'auth_ephemerals', 'secure_data']) {
        const [row] = await server.database.query(
          `select count(*) from ${table} t where user_id is not null and not exists (select from users where id = t.user_id)`,
        );
        expect(Number(row!.count), table).to.equal(0);
      }
      const refusal = await refusalOf(
        other.call(session.SessionService.method.listSessions, session.ListSessionsPayloadSchema, {}),
      );
      expect(refusal.sealed).to.equal(false);
      expect(reasons(refusal)).to.deep.equal([[11, 'request']]);
      expect((await refusalOf(logIn(transport, account))).status).to.equal(Code.Unauthenticated);
      await register(transport, makeAccount());
    });
  });
});
