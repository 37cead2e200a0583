/** A real server, the client library on a quick Argon2id, and a path between them that a test can disturb. */
import type { DescMethod } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { createGrpcTransport } from '../../src/client/grpc_transport.ts';
import { createVaultClient, type VaultClient, type VaultTransport } from '../../src/client/index.ts';
import { sha256 } from '../../src/protocol/bytes.ts';
import type { Argon2id } from '../../src/protocol/keys.ts';
import { startTestServer, type TestServer, type TestServerOptions } from './test_server.ts';

/** Not Argon2id: for tests of everything else. */
export const quickArgon2id: Argon2id = async (password, salt, { memoryKib, iterations }) =>
  sha256(password, salt, Uint8Array.of(memoryKib % 251, iterations));

// biome-ignore lint/suspicious/noExplicitAny: a test knows which message it looks at.
type Loose = any;

/** Stands on the path of every unary call. `pass` hands it on to the server. */
export type Disturbance = (call: {
  method: string;
  input: Loose;
  pass: () => Promise<Loose>;
}) => Promise<Loose>;

export interface ClientWorld {
  readonly server: TestServer;
  readonly client: VaultClient;
  /** Native gRPC, through `disturb`. */
  readonly transport: VaultTransport;
  /** Methods that were called, in order. */
  readonly called: string[];
  /** From now on; undefined: an undisturbed path. */
  disturb(disturbance: Disturbance | undefined): void;
  /** A name that nobody has, registered with the password 'old password'. */
  newUser(): Promise<string>;
  stop(): Promise<void>;
}

/** The answer to the next call of each of these methods is lost; the call itself arrives. */
export function losingAnswers(...methods: string[]): Disturbance {
  const left = [...methods];
  return async ({ method, pass }) => {
    const answer = await pass();
    const index = left.indexOf(method);
    if (index === -1) return answer;
    left.splice(index, 1);
    throw new ConnectError('the answer is lost', Code.Unavailable);
  };
}

/** The next call of each of these methods does not arrive. */
export function losingRequests(...methods: string[]): Disturbance {
  const left = [...methods];
  return async ({ method, pass }) => {
    const index = left.indexOf(method);
    if (index === -1) return pass();
    left.splice(index, 1);
    throw new ConnectError('the request is lost', Code.Unavailable);
  };
}

/** Changes the answers to a method. */
export function changingAnswers(method: string, change: (message: Loose) => void): Disturbance {
  return async (call) => {
    const answer = await call.pass();
    if (call.method === method) change(answer.message);
    return answer;
  };
}

export async function startClientWorld(options: TestServerOptions = {}): Promise<ClientWorld> {
  const server = await startTestServer(options);
  const direct = createGrpcTransport({ url: `http://${server.grpcAddress}` });
  const called: string[] = [];
  let disturbance: Disturbance | undefined;
  const transport: VaultTransport = {
    confidential: true,
    unary: (method: DescMethod, ...rest: Loose[]) => {
      called.push(method.name);
      const pass = () => (direct.unary as Loose)(method, ...rest);
      return disturbance === undefined ? pass() : disturbance({ method: method.name, input: rest[3], pass });
    },
    stream: direct.stream,
  };
  const retry = { attempts: 4, firstWaitMs: 5, longestWaitMs: 1_000 };
  const client = createVaultClient({ argon2id: quickArgon2id }, retry);
  return {
    server,
    client,
    transport,
    called,
    disturb: (wanted) => {
      disturbance = wanted;
    },
    newUser: async () => {
      const username = `user-${crypto.randomUUID()}`;
      await client.registerUser(transport, { username, password: 'old password' });
      return username;
    },
    stop: async () => {
      direct.close();
      await server.stop();
    },
  };
}
