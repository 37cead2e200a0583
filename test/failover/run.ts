/**
 * Fails a PostgreSQL under Patroni over while clients work, by hand: npm run try:failover -- [scenario…], some ten minutes.
 * Prints what it cost, and ends with 1 where anything that was acknowledged is not there, or is there twice. All of it runs on
 * loopback below a temporary directory, which is deleted unless something was wrong. docs/cluster.md has the figures.
 */
import { existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { remove } from '../support/embedded.ts';
import { eventually } from '../support/eventually.ts';
import { Cluster } from './cluster.ts';
import { type Figures, Load } from './load.ts';
import { patroniVersion } from './node.ts';
import { Servers } from './servers.ts';

const NEEDED = ['patroni', 'etcd', 'haproxy'];

/** How long the load goes on before an event, in milliseconds. */
const BEFORE_MS = 3_000;

/** Longer than the leader's lock lives (ttl), in milliseconds. */
const LONGER_THAN_LOCK_MS = 45_000;

/** What happens to the cluster, and what puts it right again. */
interface Scenario {
  readonly name: string;
  happen(cluster: Cluster): Promise<() => void>;
}

const nothing = (): void => {};

const SCENARIOS: readonly Scenario[] = [
  {
    name: 'switchover',
    happen: async (cluster) => {
      await cluster.switchover();
      return nothing;
    },
  },
  {
    name: 'PostgreSQL of the primary killed',
    happen: async (cluster) => {
      cluster.killPostgres(await cluster.primary());
      return nothing;
    },
  },
  {
    name: 'primary killed',
    happen: async (cluster) => {
      const primary = await cluster.primary();
      cluster.kill(primary);
      await anotherThan(cluster, primary);
      return () => cluster.restart(primary);
    },
  },
  {
    name: 'Patroni of the primary killed',
    happen: async (cluster) => {
      const primary = await cluster.primary();
      cluster.killPatroni(primary);
      await anotherThan(cluster, primary);
      return () => cluster.restart(primary);
    },
  },
  {
    name: 'primary hangs, and wakes up',
    happen: async (cluster) => {
      const primary = await cluster.primary();
      cluster.freeze(primary);
      await anotherThan(cluster, primary);
      return () => cluster.thaw(primary);
    },
  },
  {
    name: 'standby killed',
    happen: async (cluster) => {
      const standby = cluster.other(await cluster.primary());
      cluster.kill(standby);
      await sleep(20_000);
      cluster.restart(standby);
      return nothing;
    },
  },
  {
    name: 'etcd killed',
    happen: async (cluster) => {
      cluster.killEtcd();
      await sleep(LONGER_THAN_LOCK_MS);
      return () => cluster.startEtcd();
    },
  },
];

async function anotherThan(cluster: Cluster, primary: string): Promise<void> {
  await eventually(async () => (await cluster.primary().catch(() => primary)) !== primary, 120_000);
}

function print(name: string, figures: Figures, readsAgain: number): void {
  const { attempts, settled, writes, reads } = figures;
  const seconds = [
    figures.secondsWithoutWrites,
    figures.secondsWithoutReads,
    figures.secondsWithoutWatch,
  ].map((value) => value.toFixed(1));
  const refused = ['SVR01', 'SVR03', 'path', 'RQS01', 'other'] as const;
  const row = [
    name,
    ...seconds,
    ...refused.map((code) => attempts[code]),
    settled,
    readsAgain,
    writes,
    reads,
  ];
  console.log(`| ${row.join(' | ')} |`);
}

async function main(): Promise<void> {
  const folders = process.env.PATH!.split(':');
  const missing = NEEDED.filter((name) => !folders.some((folder) => existsSync(join(folder, name))));
  if (missing.length > 0)
    throw new Error(
      `not installed: ${missing.join(', ')} (apt install patroni etcd-server haproxy postgresql)`,
    );
  const chosen = process.argv.slice(2);
  const scenarios = SCENARIOS.filter(({ name }) => chosen.length === 0 || chosen.includes(name));
  const directory = mkdtempSync(join(tmpdir(), 'pm-failover-'));
  const cluster = new Cluster(directory);
  const servers = new Servers(directory);
  let isGood = false;
  const end = async (): Promise<void> => {
    await servers.stop();
    await cluster.stop();
    if (isGood) remove(directory);
    else console.log(`what was logged is in ${directory}`);
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void end().finally(() => process.exit(1)));
  try {
    await cluster.start();
    const load = new Load(await servers.start(cluster.url));
    await load.start();
    console.log(`Patroni ${patroniVersion()}\n`);
    console.log(
      '| | without writes, s | without reads, s | watch silent, s | SVR01 | SVR03 | path | RQS01 | other | settled | reads again | writes | reads |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|',
    );
    for (const { name, happen } of scenarios) {
      await sleep(BEFORE_MS);
      const captured = await load.capture(name);
      const figures = load.measure();
      const mend = await happen(cluster);
      const { readsAgain } = await captured();
      mend();
      await cluster.whole();
      print(name, await figures(), readsAgain);
    }
    const { acknowledged } = await load.finish();
    console.log(`${acknowledged} changes acknowledged; ${load.faults.length} faults`);
    for (const fault of new Set(load.faults)) console.log(`FAULT: ${fault}`);
    for (const [what, count] of servers.errors) console.log(`logged ${count} times: ${what}`);
    isGood = load.faults.length === 0;
    if (!isGood) process.exitCode = 1;
  } finally {
    await end();
  }
}

await main();
