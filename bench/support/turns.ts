/** Two sides that take short turns within a round, so that a machine whose speed drifts is as slow for the one as for the other. */

/** What one turn, or all turns of a side, took. */
export interface Spent {
  readonly calls: number;
  /** Wall time in milliseconds. */
  readonly ms: number;
  /** Processor time of the server, in milliseconds. */
  readonly cpuMs: number;
  /** Processor time of PostgreSQL, in milliseconds. */
  readonly postgresMs: number;
}

/** One turn of a side. */
export type Turn = () => Promise<Spent>;

/** Lets both sides have `turns` turns; which of them begins changes from pair to pair. What each spent in all. */
export async function inTurns(turns: number, one: Turn, other: Turn): Promise<[one: Spent, other: Spent]> {
  const spent: [Spent[], Spent[]] = [[], []];
  for (let turn = 0; turn < turns; turn += 1) {
    const order = turn % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const);
    for (const side of order) spent[side].push(await (side === 0 ? one : other)());
  }
  return [total(spent[0]), total(spent[1])];
}

/** Calls a second. */
export const perSecond = ({ calls, ms }: Spent): number => (calls / ms) * 1000;

function total(all: readonly Spent[]): Spent {
  const sum = (of: (spent: Spent) => number) => all.reduce((before, spent) => before + of(spent), 0);
  return {
    calls: sum(({ calls }) => calls),
    ms: sum(({ ms }) => ms),
    cpuMs: sum(({ cpuMs }) => cpuMs),
    postgresMs: sum(({ postgresMs }) => postgresMs),
  };
}
