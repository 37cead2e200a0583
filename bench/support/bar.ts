/** What a benchmark reports. */

/** One bar: a ratio within this run, or a figure where the goal is one, and whether it meets its goal. */
export interface Result {
  readonly name: string;
  /** The median over the rounds. */
  readonly ratio: number;
  /** The range over the rounds as a share of the median. */
  readonly spread: number;
  /** `<= 1.15` or `>= 0.75`. */
  readonly goal: string;
  readonly holds: boolean;
}

/** A series of measurements: what is varied, and one curve for each thing measured. */
export interface Curve {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly series: readonly {
    readonly name: string;
    readonly points: readonly (readonly [x: number, y: number])[];
  }[];
}

/** What a benchmark writes to while it runs. */
export interface Report {
  /** Keeps a bar. */
  bar(name: string, values: readonly number[], goal: string): void;
  /** Keeps a curve for the picture. */
  curve(curve: Curve): void;
  /** Prints a line of figures. */
  note(text: string): void;
}

/** One benchmark, which measures one bar or some that share their set-up. */
export interface Benchmark {
  /** The bars that it measures. */
  readonly names: readonly string[];
  /** Whether it is run by its name alone. */
  readonly onlyNamed?: true;
  /** Measures those that are `wanted`, or some more where that is no more work. */
  run(report: Report, wanted: (name: string) => boolean): Promise<void>;
}

/** How often A and B take turns. */
export const ROUNDS = 5;

/** Whether a value meets a goal. Throws RangeError for a goal of another form. */
export function meets(value: number, goal: string): boolean {
  const [, relation, limit] = /^(<=|>=) ([\d.]+)$/.exec(goal) ?? [];
  if (limit === undefined) throw new RangeError(`no goal: ${goal}`);
  return relation === '<=' ? value <= Number(limit) : value >= Number(limit);
}
