/** The entry of a worker thread that does SRP's arithmetic, at a lower priority than the event loop. */
import { constants, getPriority, setPriority } from 'node:os';
import { parentPort } from 'node:worker_threads';
import { createServerModexp, type ServerModexp } from './server_modexp.ts';
import {
  type HandshakeStart,
  type ProofCheck,
  type ProofResult,
  startHandshake,
  verifyClientProof,
} from './srp_arithmetic.ts';

/** What the pool asks. Every part lies in an ArrayBuffer of its own and moves to the thread. */
export type Job =
  | { readonly kind: 'start'; readonly input: HandshakeStart }
  | { readonly kind: 'verify'; readonly input: ProofCheck };

/** What a worker says: that it is ready and by what arithmetic, or the outcome of its job. Outputs move, too. */
export type Answer =
  | { readonly kind: 'ready'; readonly arithmetic: ServerModexp['arithmetic'] }
  | { readonly kind: 'done'; readonly output: { readonly publicB: Uint8Array } | ProofResult }
  | { readonly kind: 'failed'; readonly message: string };

const port = parentPort!;

// Linux lowers the calling thread alone; elsewhere it would be the whole process.
if (process.platform === 'linux') {
  try {
    const { PRIORITY_BELOW_NORMAL } = constants.priority;
    if (getPriority() < PRIORITY_BELOW_NORMAL) setPriority(PRIORITY_BELOW_NORMAL);
  } catch {
    // Without it the arithmetic is as right, and the event loop feels it more.
  }
}

const { power, arithmetic } = createServerModexp();
port.postMessage({ kind: 'ready', arithmetic } satisfies Answer);

port.on('message', (job: Job) => {
  const answer = outcomeOf(job);
  job.input.privateB.fill(0);
  job.input.verifier.fill(0);
  const output = answer.kind === 'done' ? Object.values<unknown>(answer.output) : [];
  port.postMessage(
    answer,
    output.filter((part) => part instanceof Uint8Array).map(({ buffer }) => buffer as ArrayBuffer),
  );
});

function outcomeOf({ kind, input }: Job): Answer {
  try {
    const output = kind === 'start' ? startHandshake(input, power) : verifyClientProof(input, power);
    return { kind: 'done', output };
  } catch (error) {
    return { kind: 'failed', message: error instanceof Error ? error.message : 'unknown' };
  }
}
