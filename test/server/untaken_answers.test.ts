import { expect } from 'chai';
import type { Connection } from '../../src/server/connection_guard.ts';
import { UntakenAnswers } from '../../src/server/untaken_answers.ts';

describe('UntakenAnswers', () => {
  let answers: UntakenAnswers;
  let waiting: Set<string>;
  let cut: string[];

  beforeEach(() => {
    waiting = new Set();
    cut = [];
    const guard = {
      waitsForPeer: ({ key }: Connection, waits: boolean) =>
        void (waits ? waiting.add(key) : waiting.delete(key)),
    };
    answers = new UntakenAnswers(guard, 100);
  });

  afterEach(() => answers.end());

  const connection = (key: string) =>
    ({ key, socket: { destroy: () => void cut.push(key) } }) as unknown as Connection;

  it('cuts the connection that holds the most, with all its answers, while the budget is exceeded', () => {
    const [small, many, large] = [connection('small'), connection('many'), connection('large')];
    answers.watch({ writableLength: 40 }, small);
    answers.watch({ writableLength: 50 }, large);
    answers.watch({ writableLength: 30 }, many);
    answers.watch({ writableLength: 31 }, many);
    answers.look();
    expect(cut).to.deep.equal(['many']);
  });

  it('cuts nobody within the budget', () => {
    answers.watch({ writableLength: 60 }, connection('one'));
    answers.watch({ writableLength: 40 }, connection('other'));
    answers.look();
    expect(cut).to.deep.equal([]);
  });

  it('tells the guard of connections with answers that wait for their peer, and when they do no more', () => {
    const [one, other] = [connection('one'), connection('other')];
    const answer = { writableLength: 0 };
    answers.watch(answer, one);
    const taken = answers.watch({ writableLength: 1 }, other);
    answers.look();
    expect([...waiting]).to.deep.equal(['other']);
    answer.writableLength = 5;
    taken();
    answers.look();
    expect([...waiting]).to.deep.equal(['one']);
    answer.writableLength = 0;
    answers.look();
    expect([...waiting]).to.deep.equal([]);
  });

  it('looks by itself', async () => {
    answers.watch({ writableLength: 101 }, connection('one'));
    while (cut.length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
  });
});
