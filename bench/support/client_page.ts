/** The client's job as a page runs it. */
import { argon2idInWasm, createConnectTransport, logIn } from '../../src/client/browser.ts';
import { clientJob } from './client_job.ts';

Object.assign(globalThis, {
  clientJob: (url: string, account: { username: string; password: string }) =>
    clientJob({ logIn, argon2id: argon2idInWasm }, createConnectTransport({ url }), account),
});
