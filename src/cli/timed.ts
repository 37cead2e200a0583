/** How long something took, for whoever wants to know. */

/** What `work` answers, and the whole milliseconds that it took. Throws what `work` does. */
export async function timed<T>(work: () => Promise<T>): Promise<{ done: T; milliseconds: number }> {
  const begin = performance.now();
  const done = await work();
  return { done, milliseconds: Math.round(performance.now() - begin) };
}

/** `1.3 s`. */
export const formatSeconds = (milliseconds: number): string => `${(milliseconds / 1_000).toFixed(1)} s`;
