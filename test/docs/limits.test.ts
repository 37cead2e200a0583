import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { ATTEMPT_TIMEOUT_MS } from '../../src/client/public_call.ts';
import { DEFAULT_RETRY_POLICY } from '../../src/client/retry.ts';
import { SILENCE_LIMIT_MS } from '../../src/client/vault_watch.ts';
import { SEALED_BLOB_MIN_BYTES, SEALED_BLOB_OVERHEAD_BYTES } from '../../src/protocol/sizes.ts';
import { LONGEST_REST_MS } from '../../src/server/bulk_turns.ts';
import { loadConfig, SETTINGS } from '../../src/server/config.ts';
import { DEFAULT_DOOR_LIMITS } from '../../src/server/door.ts';
import {
  FAILURES_PER_NAME,
  FAILURES_PER_NAME_AND_NETWORK,
  FAILURES_PER_NETWORK,
  HANDSHAKES_PER_NETWORK,
} from '../../src/server/rate_limits.ts';
import { DEFAULT_FEED_TIMES, WATCHES_PER_SESSION } from '../../src/server/revision_feed.ts';
import { WAITING } from '../../src/server/user_turns.ts';

const page = (name: string) =>
  readFile(fileURLToPath(new URL(`../../docs/${name}`, import.meta.url)), 'utf8');

/** The rows of the table below a heading, as cells, without its head. */
function tableBelow(text: string, heading: string): string[][] {
  const section = text.split(`## ${heading}\n`)[1]!.split('\n## ')[0]!;
  const rows = section.split('\n').filter((line) => line.startsWith('|'));
  return rows.slice(2).map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

/** The whole numbers in a cell, which has commas between thousands. */
const numbersIn = (cell: string) =>
  [...cell.matchAll(/\d[\d,]*/g)].map(([text]) => Number(text.replaceAll(',', '')));

describe('the limits in the documents', () => {
  let rows: string[][];

  before(async () => {
    rows = tableBelow(await page('api_calls.md'), 'Limits');
  });

  it('are the defaults of the settings beside them', () => {
    const settings = new Map(
      Object.values(SETTINGS).map(({ name, byDefault }) => [name as string, byDefault]),
    );
    const named = rows.filter(([, , setting]) => setting !== '');
    expect(named).to.have.length.above(7);
    for (const [what, limit, setting] of named) {
      const byDefault = settings.get(setting!.replaceAll('`', ''));
      expect(byDefault, `${what}: ${setting}`).to.be.a('string');
      expect(numbersIn(limit!), what).to.include(Number(byDefault));
    }
  });

  it('name every setting of a limit', () => {
    const shown = rows.map(([, , setting]) => setting!.replaceAll('`', ''));
    const ofSessions = /_(MAXIMUM_REQUESTS|EXPIRY_SECONDS)$/;
    const limits = Object.values(SETTINGS)
      .map(({ name }) => name as string)
      .filter((name) => /_(MAX|DEFAULT|CAP)_/.test(name) && !ofSessions.test(name));
    for (const name of limits.filter((each) => !/_MAX_(CONNECTIONS|USERS)/.test(each))) {
      expect(shown).to.include(name);
    }
  });

  it('of sealed bytes are 29 more than those of the padded plaintext, and 30 at least', () => {
    const { limits } = loadConfig({});
    const sizes = new Map([
      ['entry_name, sealed', limits.maxEntryNameBytes],
      ['entry_data, sealed', limits.maxEntryDataBytes],
    ]);
    for (const [what, plaintext] of sizes) {
      const [, limit] = rows.find(([name]) => name === what)!;
      expect(numbersIn(limit!), what).to.deep.equal([
        SEALED_BLOB_MIN_BYTES,
        plaintext + SEALED_BLOB_OVERHEAD_BYTES,
        plaintext,
      ]);
    }
  });

  it('of the doors are those that the doors have', () => {
    const limitOf = (what: string) => numbersIn(rows.find(([name]) => name === what)![1]!);
    expect(limitOf('a request’s arrival')[0]).to.equal(DEFAULT_DOOR_LIMITS.bodyTimeoutMs / 1000);
    expect(limitOf('a call’s deadline')).to.deep.equal([
      DEFAULT_DOOR_LIMITS.maxUnaryDeadlineMs / 1000,
      DEFAULT_DOOR_LIMITS.maxStreamDeadlineMs / 3_600_000,
    ]);
    expect(limitOf('requests in flight on an HTTP/2 connection')).to.deep.equal([
      DEFAULT_DOOR_LIMITS.maxStreamsPerConnection,
    ]);
  });

  it('of calls that wait are those of their turns, and of a change’s rests', () => {
    const limitOf = (what: string) => numbersIn(rows.find(([name]) => name === what)![1]!);
    expect(limitOf('requests of a user that run')[1]).to.equal(WAITING);
    expect(limitOf('requests of a change session that run').slice(0, 3)).to.deep.equal([
      1,
      WAITING,
      LONGEST_REST_MS,
    ]);
  });

  it('of rates are those that are counted, in the settings as well', () => {
    const limitOf = (what: string) => numbersIn(rows.find(([name]) => name === what)![1]!);
    expect(limitOf('RegisterUser and StartSession of a network')).to.deep.equal([HANDSHAKES_PER_NETWORK]);
    expect(limitOf('failed log-ins of a network')).to.deep.equal([FAILURES_PER_NETWORK]);
    expect(limitOf('failed log-ins of a name from one network')).to.deep.equal([
      FAILURES_PER_NAME_AND_NETWORK,
    ]);
    expect(limitOf('failed log-ins of a name from all networks')).to.deep.equal([FAILURES_PER_NAME]);
    expect(numbersIn(SETTINGS.rateLimit.description)).to.deep.equal([
      HANDSHAKES_PER_NETWORK,
      FAILURES_PER_NAME_AND_NETWORK,
    ]);
  });

  it('of watches are the heartbeat and the watches of a session, and three heartbeats are a client’s patience', async () => {
    const heartbeatSeconds = DEFAULT_FEED_TIMES.heartbeatMs / 1000;
    const text = await page('api_calls.md');
    expect(heartbeatSeconds).to.equal(30);
    expect(text).to.include(`every ${heartbeatSeconds} seconds; three missed`);
    expect(numbersIn(rows.find(([name]) => name === 'open watches of a session')![1]!)).to.deep.equal([
      WATCHES_PER_SESSION,
    ]);
    const [, watched] = tableBelow(await page('api_responses.md'), 'Deadlines, retries, back-off').find(
      ([what]) => what === 'WatchEntries',
    )!;
    expect(numbersIn(watched!)[0]).to.equal(SILENCE_LIMIT_MS / 1000);
    expect(SILENCE_LIMIT_MS).to.equal(3 * DEFAULT_FEED_TIMES.heartbeatMs);
  });

  it('of patience are those of the client library', async () => {
    const patience = new Map(
      tableBelow(await page('api_responses.md'), 'Deadlines, retries, back-off').map(([what, how]) => [
        what,
        numbersIn(how!),
      ]),
    );
    const { attempts, firstWaitMs, longestWaitMs } = DEFAULT_RETRY_POLICY;
    expect(patience.get('deadline of a call')).to.deep.equal([ATTEMPT_TIMEOUT_MS / 1000]);
    expect(patience.get('how often')).to.deep.equal([attempts]);
    const seconds = longestWaitMs / 1000;
    expect(patience.get('wait before the next')).to.deep.equal([
      0,
      firstWaitMs,
      2 * firstWaitMs,
      4 * firstWaitMs,
      seconds,
      seconds,
    ]);
  });
});
