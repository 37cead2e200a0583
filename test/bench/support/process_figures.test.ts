import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect } from 'chai';
import { cpuMs, descendants, proportionalMb, residentMb } from '../../../bench/support/process_figures.ts';

describe('figures of processes', () => {
  it('are zero for a process that is gone', () => {
    const nobody = 2 ** 22 + 1;
    expect([cpuMs(nobody), residentMb(nobody), proportionalMb([nobody]), descendants(nobody)]).to.deep.equal([
      0,
      0,
      0,
      [],
    ]);
  });

  it('are those of this process, and find its children and theirs', async function () {
    if (process.platform !== 'linux') this.skip();
    const script = `require('node:child_process').spawn('sleep', ['5']); process.stdout.write('x'); setTimeout(() => {}, 5000);`;
    const child = spawn(process.execPath, ['-e', script], {
      stdio: ['ignore', 'pipe', 'ignore'],
      detached: true,
    });
    await once(child.stdout!, 'data');
    const begun = performance.now();
    while (performance.now() - begun < 60);
    try {
      expect(descendants(process.pid)).to.include(child.pid);
      expect(descendants(child.pid!)).to.have.length(1);
      expect(cpuMs(process.pid)).to.be.above(50);
      expect(residentMb(process.pid)).to.be.within(20, 2_000);
      expect(proportionalMb([process.pid])).to.be.within(10, residentMb(process.pid));
    } finally {
      process.kill(-child.pid!, 'SIGKILL');
    }
  });
});
