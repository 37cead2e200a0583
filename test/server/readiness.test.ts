import { expect } from 'chai';
import type { Executor } from '../../src/database/database.ts';
import { DatabaseReadiness } from '../../src/server/readiness.ts';
import { collectingLog } from '../support/collecting_log.ts';

describe('readiness', () => {
  let answers: boolean;
  let asked: number;
  const database: Executor = {
    execute: async () => {
      asked += 1;
      if (!answers) throw new Error('out of reach');
      return { rows: [] };
    },
  };

  const { log, lines } = collectingLog();

  beforeEach(() => {
    lines.length = 0;
    answers = true;
    asked = 0;
  });

  const until = async (condition: () => boolean) => {
    for (let attempt = 0; attempt < 200 && !condition(); attempt += 1)
      await new Promise((r) => setTimeout(r, 5));
    expect(condition()).to.equal(true);
  };

  it('is false before it was asked, and what the database says once it was', async () => {
    const readiness = new DatabaseReadiness(database, 1_000, log);
    expect(readiness.isServing()).to.equal(false);
    await readiness.start();
    expect(readiness.isServing()).to.equal(true);
    readiness.stop();
  });

  it('tells each change once, goes on asking, and tells nobody who asked not to be told', async () => {
    const readiness = new DatabaseReadiness(database, 5, log);
    const told: boolean[] = [];
    const untold: boolean[] = [];
    readiness.onChange((serving) => told.push(serving));
    readiness.onChange((serving) => untold.push(serving))();
    await readiness.start();
    answers = false;
    await until(() => !readiness.isServing());
    const before = asked;
    await until(() => asked > before + 2);
    answers = true;
    await until(() => readiness.isServing());
    readiness.stop();
    expect(told).to.deep.equal([true, false, true, false]);
    expect(untold).to.deep.equal([]);
  });

  it('tells what others add to it, as it is when it is asked', () => {
    const readiness = new DatabaseReadiness(database, 1_000, log);
    expect(readiness.details()).to.deep.equal({});
    let last = 'none';
    readiness.alsoTell('backup', () => ({ last }));
    last = 'made';
    expect(readiness.details()).to.deep.equal({ backup: { last: 'made' } });
  });

  it('asks no more once it is stopped, whatever comes late', async () => {
    const readiness = new DatabaseReadiness(database, 1, log);
    await readiness.start();
    readiness.stop();
    const before = asked;
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(asked).to.equal(before);
    expect(readiness.isServing()).to.equal(false);
  });

  it('warns while writes are refused and some time after, says so once, and serves', async () => {
    const readiness = new DatabaseReadiness(database, 5, log, 50);
    await readiness.start();
    expect(readiness.warning()).to.equal(undefined);
    readiness.refusedWrite();
    readiness.refusedWrite();
    expect(readiness.warning()).to.include('full');
    expect(readiness.isServing()).to.equal(true);
    expect(lines).to.have.length(1);
    await until(() => readiness.warning() === undefined);
    expect(lines).to.have.length(2);
    readiness.stop();
  });
});
