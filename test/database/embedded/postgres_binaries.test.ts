import { spawnSync } from 'node:child_process';
import { expect } from 'chai';
import { NoPostgresBinariesError } from '../../../src/database/embedded/errors.ts';
import { postgresBinaries } from '../../../src/database/embedded/postgres_binaries.ts';

describe('PostgreSQL’s programs', () => {
  it('are refused for a platform that has no package, with what to do', () => {
    expect(() => postgresBinaries('plan9', 'mips')).to.throw(
      NoPostgresBinariesError,
      'PASSMANAGER_DATABASE_URL',
    );
  });

  it('run here and are of the version that they are said to be', () => {
    const { initdb, postgres, majorVersion } = postgresBinaries();
    for (const program of [initdb, postgres]) {
      const { stdout, status } = spawnSync(program, ['--version'], { encoding: 'utf8', env: {} });
      expect(status).to.equal(0);
      expect(stdout).to.match(new RegExp(` \\(PostgreSQL\\) ${majorVersion}\\.`));
    }
  });
});
