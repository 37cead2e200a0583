/** The entry of a worker thread that does SRP's arithmetic, at a lower priority than the event loop. */
import { constants, setPriority } from 'node:os';
import { parentPort } from 'node:worker_threads';
import { modexp } from '../../protocol/srp.ts';
import { createOpensslModexp, isCorrect } from './openssl_modexp.ts';
import { type HandshakeStart, type ProofCheck, startHandshake, verifyClientProof } from './srp_arithmetic.ts';

/** What the pool asks. */
export type Job =
  | { readonly kind: 'start'; readonly input: HandshakeStart }
  | { readonly kind: 'verify'; readonly input: ProofCheck };

/** What a worker says: that it is ready and by what arithmetic, or the outcome of its job. */
export type Answer =
  | { readonly kind: 'ready'; readonly arithmetic: 'openssl' | 'bigint' }
  | { readonly kind: 'done'; readonly output: unknown }
  | { readonly kind: 'failed'; readonly message: string };

const port = parentPort!;

// Linux lowers the calling thread alone; elsewhere it would be the whole process.
if (process.platform === 'linux') {
  try {
    setPriority(0, constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // Without it the arithmetic is as right, and the event loop feels it more.
  }
}

let power = createOpensslModexp();
const trusted = isCorrect(power);
if (!trusted) power = modexp;
port.postMessage({ kind: 'ready', arithmetic: trusted ? 'openssl' : 'bigint' } satisfies Answer);

port.on('message', ({ kind, input }: Job) => {
  let answer: Answer;
  try {
    answer = {
      kind: 'done',
      output: kind === 'start' ? startHandshake(input, power) : verifyClientProof(input, power),
    };
  } catch (error) {
    answer = { kind: 'failed', message: error instanceof Error ? error.message : 'unknown' };
  }
  input.privateB.fill(0);
  port.postMessage(answer);
});
