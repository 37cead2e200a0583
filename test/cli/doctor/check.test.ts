import { expect } from 'chai';
import {
  databaseCheck,
  exitCodeOf,
  failure,
  good,
  runChecks,
  skipped,
  warning,
} from '../../../src/cli/doctor/check.ts';
import { subjectOf } from '../../support/doctor.ts';

describe('a check of the doctor', () => {
  const subject = subjectOf();
  const check = (name: string, look: () => ReturnType<typeof good>) => ({ name, look });

  it('that throws is a failure of its own, and the others go on', async () => {
    const results = await runChecks(
      [
        check('broken', () => {
          throw new Error('the reason');
        }),
        check('whole', () => good('fine')),
      ],
      subject,
    );
    expect(results.map(({ name, state, detail }) => [name, state, detail])).to.deep.equal([
      ['broken', 'failure', 'the reason'],
      ['whole', 'good', 'fine'],
    ]);
    expect(results[0]!.advice).not.to.equal('');
  });

  it('that does not answer is a failure', async () => {
    const silent = { name: 'silent', look: () => new Promise<never>(() => {}) };
    const [result] = await runChecks([silent], subject, () => {}, 20);
    expect(result).to.include({ name: 'silent', state: 'failure' });
  });

  it('of a database is skipped where there is none', async () => {
    const [result] = await runChecks([databaseCheck('rows', async () => good('asked'))], subject);
    expect(result).to.include({ state: 'skipped', advice: '' });
  });

  it('decides the exit code with the others: 2 for a failure, 1 for a warning, 0 for neither', () => {
    const named = [good('g'), skipped('s'), warning('w', 'a'), failure('f', 'a')].map((finding) => ({
      name: finding.state,
      ...finding,
    }));
    expect(exitCodeOf(named)).to.equal(2);
    expect(exitCodeOf(named.slice(0, 3))).to.equal(1);
    expect(exitCodeOf(named.slice(0, 2))).to.equal(0);
    expect(exitCodeOf([])).to.equal(0);
  });
});
