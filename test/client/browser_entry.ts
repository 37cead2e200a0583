/** What browser.test.ts runs in a page: the main job through the library's entry point for browsers. */
import {
  argon2idInWasm,
  createConnectTransport,
  createGrpcWebTransport,
  logIn,
  registerUser,
} from '../../src/client/browser.ts';

const kdf = { algorithm: 1, memoryKib: 19_456, iterations: 2, parallelism: 1 };

async function playThrough(url: string, protocol: 'connect' | 'grpc-web'): Promise<unknown> {
  const transport =
    protocol === 'connect' ? createConnectTransport({ url }) : createGrpcWebTransport({ url });
  const username = `user-${crypto.randomUUID()}`;
  await registerUser(transport, { username, password: 'old password', kdf });
  const wrong = await logIn(transport, { username, password: 'x' }).catch((error) => error.code);
  const vault = await logIn(transport, { username, password: 'old password' });
  const entry = await vault.create({ name: 'Bank', password: 'geheim' });
  const missing = await vault.get(crypto.randomUUID()).catch((error) => [error.code, error.verified]);
  const watching = new AbortController();
  const revisions: number[] = [];
  for await (const { revision } of vault.watch({ signal: watching.signal })) {
    revisions.push(Number(revision));
    if (revisions.length === 1) await vault.update(entry, { password: 'geheimer' });
    else watching.abort();
  }
  await vault.changePassword({ currentPassword: 'old password', newPassword: 'new password', kdf });
  const { password } = await vault.get(entry.id);
  await vault.deleteAccount({ password: 'new password' });
  return { wrong, missing, revisions, password };
}

Object.assign(globalThis, { playThrough, argon2idInWasm });
