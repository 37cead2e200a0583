/** Commands that clean up behind themselves when they are interrupted. */

/** Ctrl-C, an end of the service or of the machine, and an end of the terminal. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Runs `work` with a signal that is aborted by the first of the process's own; a second one ends the process at once. When
 * `work` has cleaned up and rejected, the process ends by what it got: who started it sees that it was interrupted.
 * `raise`: how it ends. Answers and throws what `work` does.
 */
export async function interruptible<T>(
  work: (signal: AbortSignal) => Promise<T>,
  raise: (signal: NodeJS.Signals) => void = (signal) => process.kill(process.pid, signal),
): Promise<T> {
  const abort = new AbortController();
  let caught: NodeJS.Signals | undefined;
  const handlers = SIGNALS.map((signal) => ({
    signal,
    handle: () => {
      remove();
      caught = signal;
      abort.abort();
    },
  }));
  const remove = (): void => {
    for (const { signal, handle } of handlers) process.off(signal, handle);
  };
  for (const { signal, handle } of handlers) process.on(signal, handle);
  try {
    return await work(abort.signal);
  } catch (error) {
    if (caught !== undefined) raise(caught);
    throw error;
  } finally {
    remove();
  }
}
