/**
 * `npm run bench` measures every bar, `npm run bench -- <name>…` those that are named. Prints figures as they come and
 * the table at the end, and writes bench/results.json and bench/curves.svg. Ends with 0 whatever was measured.
 */
import { writeFile } from 'node:fs/promises';
import { client } from './bars/client.ts';
import { contention } from './bars/contention.ts';
import { footprint } from './bars/footprint.ts';
import { growth } from './bars/growth.ts';
import { login } from './bars/login.ts';
import { passwordChange } from './bars/password_change.ts';
import { population } from './bars/population.ts';
import { sealedCalls } from './bars/sealed_calls.ts';
import { smallMachine } from './bars/small_machine.ts';
import { workers } from './bars/workers.ts';
import { type Benchmark, type Curve, meets, type Report, type Result } from './support/bar.ts';
import { picture } from './support/picture.ts';
import { median, spread } from './support/statistics.ts';

const BENCHMARKS: readonly Benchmark[] = [
  login,
  sealedCalls,
  growth,
  workers,
  passwordChange,
  footprint,
  population,
  smallMachine,
  client,
  contention,
];

const say = (line = ''): void => void process.stdout.write(`${line}\n`);
const round = (value: number): number => Number(value.toPrecision(4));

const results: Result[] = [];
const curves: Curve[] = [];
const report: Report = {
  bar(name, values, goal) {
    const ratio = round(median(values));
    const result = { name, ratio, spread: round(spread(values)), goal, holds: meets(ratio, goal) };
    results.push(result);
    const met = values.filter((value) => meets(value, goal)).length;
    // What some rounds meet and some do not, this machine does not decide today.
    const doubt = met === 0 || met === values.length ? '' : ` (undecided: ${met} of ${values.length} rounds)`;
    say(`  ${line(result)}${doubt}`);
  },
  curve: (curve) => void curves.push(curve),
  note: (text) => say(`  ${text}`),
};

function line({ name, ratio, spread, goal, holds }: Result): string {
  return `${name.padEnd(26)} ${String(ratio).padStart(8)}  ±${(50 * spread).toFixed(0).padStart(2)} %  ${goal.padEnd(9)} ${holds ? 'holds' : 'MISSED'}`;
}

async function main(wanted: readonly string[]): Promise<void> {
  const known = BENCHMARKS.flatMap(({ names }) => names);
  const unknown = wanted.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    process.stderr.write(`there is no ${unknown.join(', ')}; there are: ${known.join(', ')}\n`);
    process.exitCode = 2;
    return;
  }
  const begun = performance.now();
  for (const benchmark of BENCHMARKS) {
    const isWanted = (name: string) =>
      wanted.length === 0 ? benchmark.onlyNamed !== true : wanted.includes(name);
    if (!benchmark.names.some(isWanted)) continue;
    say(benchmark.names.filter(isWanted).join(', '));
    await benchmark.run(report, isWanted);
  }
  say();
  for (const result of results) say(line(result));
  say(
    `${results.filter(({ holds }) => holds).length} of ${results.length} bars hold; ${((performance.now() - begun) / 1000).toFixed(0)} s`,
  );
  if (wanted.length === 0) {
    await writeFile(new URL('results.json', import.meta.url), `${JSON.stringify(results, null, 2)}\n`);
    await writeFile(new URL('curves.svg', import.meta.url), picture(curves));
  }
}

await main(process.argv.slice(2));
process.exit();
