import { randomBytes, randomUUID } from 'node:crypto';
import {
  create,
  type DescField,
  type DescMessage,
  type DescMethodUnary,
  type Message,
} from '@bufbuild/protobuf';
import { Code, type Transport } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { expect } from 'chai';
import fc from 'fast-check';
import { DataService } from '../../gen/passmanager/data/v1/data_service_pb.ts';
import { PasswordService } from '../../gen/passmanager/password/v1/password_service_pb.ts';
import { SessionService } from '../../gen/passmanager/session/v1/session_service_pb.ts';
import { UserService } from '../../gen/passmanager/user/v1/user_service_pb.ts';
import {
  callUnary,
  logIn,
  makeAccount,
  type RawSession,
  refusalOf,
  register,
} from '../support/raw_client.ts';
import { startTestServer, type TestServer } from '../support/test_server.ts';

const METHODS = [UserService, SessionService, DataService, PasswordService].flatMap(({ methods }) =>
  methods.filter((method) => method.methodKind === 'unary'),
) as DescMethodUnary[];

const payloadOf = (method: DescMethodUnary): DescMessage | undefined =>
  method.parent.file.messages.find(({ name }) => name === `${method.name}Payload`);

/** Values that a field of a type can have and that somebody may send: the edges of its range, wrong lengths, right ones. */
function valuesOf(field: DescField): fc.Arbitrary<unknown> {
  const scalar = (type: number): fc.Arbitrary<unknown> => {
    switch (type) {
      case 12: // bytes
        return fc
          .constantFrom(0, 1, 16, 29, 30, 31, 32, 33, 285, 511, 512, 513, 16_384, 70_000)
          .map((length) => new Uint8Array(randomBytes(length)));
      case 9: // string
        return fc.oneof(
          fc.constantFrom(
            '',
            'x',
            randomUUID(),
            randomUUID().toUpperCase(),
            '\u0000',
            '💥'.repeat(500),
            "'; drop table users --",
          ),
          fc.string(),
        );
      case 4: // uint64
        return fc.constantFrom(0n, 1n, 2n ** 53n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n);
      case 3: // int64
        return fc.constantFrom(0n, -1n, -2n, 1n, 2n ** 32n, 2n ** 63n - 1n, -(2n ** 63n));
      case 13: // uint32
        return fc.constantFrom(0, 1, 2, 65_536, 4_294_967_295);
      default:
        return fc.constantFrom(0, 1, -1, 2_147_483_647, -2_147_483_648);
    }
  };
  if (field.fieldKind === 'list') {
    const item =
      field.listKind === 'message'
        ? messageOf(field.message)
        : scalar(field.listKind === 'scalar' ? field.scalar : 5);
    return fc.array(item, { maxLength: 4 });
  }
  if (field.fieldKind === 'message') return messageOf(field.message);
  return scalar(field.fieldKind === 'scalar' ? field.scalar : 5);
}

function messageOf(schema: DescMessage): fc.Arbitrary<Message> {
  const fields = Object.fromEntries(
    schema.fields.map((field) => [field.localName, fc.option(valuesOf(field), { nil: undefined })]),
  );
  return fc
    .record(fields)
    .map((values) =>
      create(
        schema,
        Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never,
      ),
    );
}

describe('whatever is sent', function () {
  this.timeout(60_000);
  let server: TestServer;
  let transport: Transport;
  let session: RawSession;

  const open = async () => {
    const account = makeAccount();
    await register(transport, account);
    session = await logIn(transport, account, { maximumRequests: -1n });
  };

  before(async () => {
    server = await startTestServer();
    transport = createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1' });
    await open();
  });

  after(() => server.stop());

  /** Neither a mistake of the server's nor an outcome that nobody knows. */
  const expectAnswer = async (call: Promise<unknown>) => {
    const refused = await call.then(
      () => undefined,
      (error: unknown) => refusalOf(Promise.reject(error)),
    );
    if (refused === undefined) return;
    expect([Code.Internal, Code.Unknown, Code.Unavailable]).not.to.include(
      refused.status,
      JSON.stringify(refused.failure?.errorList),
    );
  };

  for (const method of METHODS) {
    const schema = payloadOf(method);
    it(`${method.parent.name}.${method.name} answers by the contract`, async () => {
      await fc.assert(
        fc.asyncProperty(messageOf(schema ?? method.input), async (message) => {
          if (schema === undefined) await expectAnswer(callUnary(transport, method, message as never));
          else await expectAnswer(session.call(method, schema, message as never));
        }),
        { numRuns: 25 },
      );
      if (schema !== undefined) {
        await fc.assert(
          fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
            await expectAnswer(session.call(method, schema, bytes));
          }),
          { numRuns: 15 },
        );
      }
      await open();
    });
  }

  it('left no line about a mistake in the log', () => {
    expect(server.logged.filter((line) => JSON.parse(line).level >= 50)).to.deep.equal([]);
  });
});
