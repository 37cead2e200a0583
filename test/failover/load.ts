/** Clients that write, read and watch through a fail-over, and know afterwards what must be there. */
import { setTimeout as sleep } from 'node:timers/promises';
import { createConnectTransport, createGrpcTransport } from '@connectrpc/connect-node';
import { argon2idInNode, createVaultClient, type Vault, type VaultEntry } from '../../src/client/node.ts';
import { eventually } from '../support/eventually.ts';
import type { Door } from './servers.ts';
import { type Outcome, Wire } from './wire.ts';

/** Patient enough for any fail-over here; asks often enough to time it. */
const PATIENCE = { attempts: 400, firstWaitMs: 100, longestWaitMs: 500 };

const { registerUser, logIn } = createVaultClient({ argon2id: argon2idInNode }, PATIENCE);

/** Pause between two operations of one client, in milliseconds: two processors serve everything here. */
const PAUSE_MS = 20;

/** Writes of the client that falls silent before a fail-over: fewer than the window of 64 numbers, so that it tells each of them. */
const CAPTURED_WRITES = 30;
const CAPTURED_READS = 20;

const password = 'correct horse battery staple';

async function open(door: Door, name: string, index: number, isNew: boolean) {
  const nodeOptions = { ca: door.ca };
  const transport =
    index % 2 === 0
      ? createGrpcTransport({ baseUrl: door.url, nodeOptions })
      : createConnectTransport({ baseUrl: door.url, httpVersion: '1.1', nodeOptions });
  const wire = new Wire(transport, door.url);
  const account = { username: `${name}@example.com`, password };
  if (isNew) await registerUser(wire.transport, account);
  const vault = await logIn(wire.transport, { ...account, maximumRequests: -1, expirySeconds: -1 });
  return { wire, vault, account };
}

/** The times of what succeeded, in milliseconds of performance.now(). */
class Times {
  readonly #times: number[] = [];

  add(): void {
    this.#times.push(performance.now());
  }

  get count(): number {
    return this.#times.length;
  }

  /** The longest time without any since `from`, until now; in seconds. */
  longestGap(from: number): number {
    const before = this.#times.findLast((time) => time < from) ?? from;
    const all = [before, ...this.#times.filter((time) => time >= from), performance.now()];
    return Math.max(...all.slice(1).map((time, index) => time - all[index]!)) / 1000;
  }
}

/** What a part of a run came to. */
export interface Figures {
  readonly secondsWithoutWrites: number;
  readonly secondsWithoutReads: number;
  readonly secondsWithoutWatch: number;
  readonly attempts: Readonly<Record<Outcome, number>>;
  /** Operations that failed at first and succeeded by the client's own retry. */
  readonly settled: number;
  readonly writes: number;
  readonly reads: number;
}

/** A client with an account of its own that makes one change after the other. */
class Writer {
  readonly name: string;
  readonly vault: Vault;
  readonly wire: Wire;
  /** What must be there. */
  readonly entries = new Map<string, VaultEntry>();
  /** Changes that were acknowledged: each raises the account's revision by one. */
  acknowledged = 0n;
  /** The revisions that came back. */
  readonly revisions = new Set<bigint>();

  constructor(name: string, vault: Vault, wire: Wire) {
    this.name = name;
    this.vault = vault;
    this.wire = wire;
  }

  /** One change: mostly new entries, then changes and deletions of them. */
  async change(round: number): Promise<void> {
    const [oldest] = this.entries.values();
    if (round % 5 === 4 && oldest !== undefined) {
      await this.vault.delete(oldest);
      this.entries.delete(oldest.id);
    } else {
      const entry =
        round % 5 === 2 && oldest !== undefined
          ? await this.vault.update(oldest, { notes: `round ${round}` })
          : await this.vault.create({ name: `${this.name} ${round}`, password: `secret ${round}` });
      this.entries.set(entry.id, entry);
      this.revisions.add(entry.revision);
    }
    this.acknowledged += 1n;
  }
}

export class Load {
  readonly #door: Door;
  readonly #writers: Writer[] = [];
  readonly #wires: Wire[] = [];
  readonly #working: Promise<void>[] = [];
  readonly #watching: Promise<void>[] = [];
  readonly #end = new AbortController();
  readonly #endWatch = new AbortController();
  readonly #writes = new Times();
  readonly #reads = new Times();
  readonly #heard = new Times();
  #settled = 0;
  /** What no retry settled, and whatever else must not be. */
  readonly faults: string[] = [];
  #watched = -1n;

  constructor(door: Door) {
    this.#door = door;
  }

  /** Four writers, two readers of what they write, a watch. Resolves when all are at work. */
  async start(): Promise<void> {
    for (let index = 0; index < 4; index += 1) {
      const name = `writer ${index}`;
      const { vault, wire } = await open(this.#door, name, index, true);
      const writer = new Writer(name, vault, wire);
      this.#writers.push(writer);
      this.#wires.push(wire);
      this.#loop(wire, async (round) => {
        await writer.change(round);
        this.#writes.add();
      });
    }
    for (const index of [0, 1]) {
      const { vault, wire } = await open(this.#door, `writer ${index}`, index, false);
      this.#wires.push(wire);
      this.#loop(wire, async () => {
        const { reset } = await vault.sync();
        if (reset) this.faults.push(`a reader of ${index} was told that the server began anew`);
        this.#reads.add();
      });
    }
    const { vault } = await open(this.#door, 'writer 0', 0, false);
    this.#watching.push(
      (async () => {
        for await (const { revision } of vault.watch({ signal: this.#endWatch.signal })) {
          this.#heard.add();
          if (revision > this.#watched) this.#watched = revision;
        }
      })(),
    );
    await eventually(() => this.#writes.count > 100 && this.#heard.count > 2, 60_000);
  }

  /** Begins to count; the answer tells what it came to, once writing, reading and watching have gone on for a while. */
  measure(): () => Promise<Figures> {
    const from = performance.now();
    const counts = this.#counts();
    const [settled, writes, reads] = [this.#settled, this.#writes.count, this.#reads.count];
    return async () => {
      const before = [this.#writes, this.#reads, this.#heard].map((times) => [times, times.count] as const);
      await eventually(() => before.every(([times, count]) => times.count > count + 20), 90_000);
      const now = this.#counts();
      const attempts = Object.fromEntries(
        Object.entries(now).map(([outcome, count]) => [outcome, count - counts[outcome as Outcome]]),
      ) as Record<Outcome, number>;
      return {
        secondsWithoutWrites: this.#writes.longestGap(from),
        secondsWithoutReads: this.#reads.longestGap(from),
        secondsWithoutWatch: this.#heard.longestGap(from),
        attempts,
        settled: this.#settled - settled,
        writes: this.#writes.count - writes,
        reads: this.#reads.count - reads,
      };
    };
  }

  /**
   * Somebody on the way who has recorded a client's last requests, all answered. What is returned sends them once more, after
   * the fail-over, and tells how many reads were answered again: their numbers are spent without waiting for any disk.
   */
  async capture(name: string): Promise<() => Promise<{ readsAgain: number }>> {
    const { vault, wire } = await open(this.#door, name, 1, true);
    wire.recording = true;
    let id = '';
    for (let round = 0; round < CAPTURED_WRITES; round += 1)
      ({ id } = await vault.create({ name: `captured ${round}` }));
    for (let round = 0; round < CAPTURED_READS; round += 1) await vault.get(id);
    wire.recording = false;
    return async () => {
      // Not by this client's own calls, whose numbers would push the recorded ones out of the window.
      const { count } = this.#writes;
      await eventually(() => this.#writes.count > count + 10, 90_000);
      let readsAgain = 0;
      for (const { name: method, again } of wire.recorded) {
        let outcome = await again();
        for (let attempt = 0; outcome === 'path' || outcome === 'SVR01'; attempt += 1) {
          if (attempt === 50) break;
          await sleep(200);
          outcome = await again();
        }
        if (outcome === 'RQS01') continue;
        if (outcome === 'ok' && method.startsWith('Get')) readsAgain += 1;
        else this.faults.push(`${method} of ${name}, sent once more, came to ${outcome}`);
      }
      const { entries } = await vault.list();
      if (entries.length !== CAPTURED_WRITES) this.faults.push(`${name} has ${entries.length} entries`);
      if (wire.sessions.size !== 1) this.faults.push(`${name} had to log in again`);
      vault.close();
      return { readsAgain };
    };
  }

  /** Ends the load and compares what is there with what was acknowledged; `faults` tells what differs. */
  async finish(): Promise<{ acknowledged: bigint }> {
    this.#end.abort();
    await Promise.all(this.#working);
    await eventually(() => this.#watched === this.#writers[0]!.acknowledged, 10_000).catch(() => {
      this.faults.push(`the watch ended at ${this.#watched}`);
    });
    this.#endWatch.abort();
    await Promise.all(this.#watching);
    for (const wire of this.#wires)
      if (wire.sessions.size !== 1) this.faults.push(`a client needed ${wire.sessions.size} sessions`);
    for (const writer of this.#writers) await this.#compare(writer);
    return { acknowledged: this.#writers.reduce((sum, { acknowledged }) => sum + acknowledged, 0n) };
  }

  async #compare(writer: Writer): Promise<void> {
    const { vault } = await open(this.#door, writer.name, 0, false);
    const is = new Map((await vault.list()).entries.map((entry) => [entry.id, entry]));
    for (const [id, { name, revision, notes }] of writer.entries) {
      const found = is.get(id) === undefined ? undefined : await vault.get(id);
      if (found?.name !== name || found.revision !== revision || found.notes !== notes)
        this.faults.push(`${writer.name}: ${name} at ${revision} is ${found?.name} at ${found?.revision}`);
      is.delete(id);
    }
    for (const { name } of is.values()) this.faults.push(`${writer.name}: ${name} should not be there`);
    const stop = new AbortController();
    for await (const { revision } of vault.watch({ signal: stop.signal })) {
      // One change, one number: any change that was executed twice would have taken another.
      if (revision !== writer.acknowledged)
        this.faults.push(`${writer.name}: ${writer.acknowledged} changes, and the account is at ${revision}`);
      stop.abort();
    }
    vault.close();
    writer.vault.close();
  }

  #counts(): Record<Outcome, number> {
    const sum: Record<Outcome, number> = { ok: 0, SVR01: 0, SVR03: 0, RQS01: 0, other: 0, path: 0 };
    for (const { counts } of this.#wires)
      for (const outcome of Object.keys(sum) as Outcome[]) sum[outcome] += counts[outcome];
    return sum;
  }

  #loop(wire: Wire, work: (round: number) => Promise<void>): void {
    this.#working.push(
      (async () => {
        for (let round = 0; !this.#end.signal.aborted; round += 1) {
          const failures = wire.failures;
          try {
            await work(round);
            if (wire.failures > failures) this.#settled += 1;
          } catch (error) {
            this.faults.push(`not settled by retries: ${error}`);
          }
          await sleep(PAUSE_MS);
        }
      })(),
    );
  }
}
