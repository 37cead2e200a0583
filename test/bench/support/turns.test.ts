import { expect } from 'chai';
import { inTurns, perSecond, type Spent } from '../../../bench/support/turns.ts';

describe('turns of two sides', () => {
  const spends = (order: string[], name: string, spent: Spent) => async (): Promise<Spent> => {
    order.push(name);
    return spent;
  };
  const spent = { calls: 10, ms: 40, cpuMs: 3, postgresMs: 2 };

  it('alternate, and each begins as often as the other', async () => {
    const order: string[] = [];
    await inTurns(4, spends(order, 'a', spent), spends(order, 'b', spent));
    expect(order.join('')).to.equal('abbaabba');
  });

  it('add up by side', async () => {
    const [one, other] = await inTurns(
      3,
      spends([], 'a', spent),
      spends([], 'b', { calls: 1, ms: 2, cpuMs: 3, postgresMs: 4 }),
    );
    expect(one).to.deep.equal({ calls: 30, ms: 120, cpuMs: 9, postgresMs: 6 });
    expect(other).to.deep.equal({ calls: 3, ms: 6, cpuMs: 9, postgresMs: 12 });
    expect(perSecond(one)).to.equal(250);
  });
});
