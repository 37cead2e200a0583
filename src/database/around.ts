/** How somebody who wants to know what a call spends its time on is told of it. */

/**
 * - statement: one statement of SQL, or some that travel together; its detail is the text, which holds no values.
 * - transaction: from its beginning to its commit, again where it met a conflict.
 * - srp: arithmetic of a log-in, and the wait for a thread; its detail is the step.
 */
export type WorkKind = 'statement' | 'transaction' | 'srp';

/** Runs a piece of work, and answers or throws as it does. */
export type Around = <T>(kind: WorkKind, detail: string, run: () => Promise<T>) => Promise<T>;
