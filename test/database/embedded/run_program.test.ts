import { expect } from 'chai';
import { chooseAccount } from '../../../src/database/embedded/account.ts';
import { ProgramFailedError, runProgram } from '../../../src/database/embedded/run_program.ts';
import { rejection } from '../../support/rejection.ts';

const own = chooseAccount('', '', { isRoot: false, hasName: true });

describe('running a program', () => {
  const run = (script: string, more: { input?: string; deadlineMs?: number } = {}) =>
    runProgram(own, ['/bin/sh', '-c', script], { cwd: '/', ...more });

  it('fails with the end of what it printed, on either stream', async () => {
    const error = await rejection(run('echo out; echo err >&2; exit 1'));
    expect(error).to.be.instanceOf(ProgramFailedError);
    expect((error as ProgramFailedError).output.split('\n')).to.have.members(['out', 'err']);
  });

  it('fails when the program is killed, is not there, or takes too long', async () => {
    expect(await rejection(run('kill -9 $$'))).to.be.instanceOf(ProgramFailedError);
    expect(await rejection(runProgram(own, ['/no/such/program'], { cwd: '/' }))).to.be.instanceOf(
      ProgramFailedError,
    );
    const late = await rejection(run('while :; do sleep 0.02; done', { deadlineMs: 50 }));
    expect((late as ProgramFailedError).output).to.contain('longer than');
  });

  it('keeps a bounded part of what it printed', async () => {
    const error = await rejection(run('yes | head -c 1000000; echo the end; exit 1'));
    expect((error as ProgramFailedError).output.length).to.be.lessThan(5_000);
    expect((error as ProgramFailedError).output.endsWith('the end')).to.equal(true);
  });

  it('hands it its input, also when it does not read it', async () => {
    await run('test "$(cat)" = "some lines"', { input: 'some lines' });
    await run('exit 0', { input: 'x'.repeat(1_000_000) });
  });
});
