/** The entry of a worker thread that does SRP's arithmetic, at a lower priority than the event loop. */
import { constants, getPriority, setPriority } from 'node:os';
import { parentPort } from 'node:worker_threads';
import { createServerModexp, type ServerModexp } from './server_modexp.ts';
import { generatorPowers, verifyClientProof } from './srp_arithmetic.ts';
import { packOutcome, unpackJob } from './srp_messages.ts';

/** What a worker says: that it is ready and by what arithmetic, the outcome of its job as it was packed, or that it failed. */
export type Answer =
  | { readonly kind: 'ready'; readonly arithmetic: ServerModexp['arithmetic'] }
  | { readonly kind: 'failed'; readonly message: string }
  | ArrayBuffer;

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

port.on('message', (packed: ArrayBuffer) => {
  const answer = answerTo(packed);
  new Uint8Array(packed).fill(0);
  port.postMessage(answer, answer instanceof ArrayBuffer ? [answer] : []);
});

function answerTo(packed: ArrayBuffer): Answer {
  try {
    const job = unpackJob(packed);
    return packOutcome(
      job.kind === 'powers'
        ? { powers: generatorPowers(job.privateBs, power) }
        : verifyClientProof(job.input, power),
    );
  } catch (error) {
    return { kind: 'failed', message: error instanceof Error ? error.message : 'unknown' };
  }
}
