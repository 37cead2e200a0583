import { spawnSync } from 'node:child_process';
import { expect } from 'chai';
import { NoPostgresBinariesError } from '../../../src/database/embedded/errors.ts';
import { postgresBinaries, previousBinaries } from '../../../src/database/embedded/postgres_binaries.ts';

describe('PostgreSQL’s programs', () => {
  it('are refused for a platform that has no package, with what to do', () => {
    for (const binaries of [postgresBinaries, previousBinaries])
      expect(() => binaries('plan9', 'mips')).to.throw(NoPostgresBinariesError, 'PASSMANAGER_DATABASE_URL');
  });

  it('run here and are of the version that they are said to be', () => {
    for (const { initdb, postgres, majorVersion } of [postgresBinaries(), previousBinaries()]) {
      for (const program of [initdb, postgres]) {
        const { stdout, status } = spawnSync(program, ['--version'], { encoding: 'utf8', env: {} });
        expect(status).to.equal(0);
        expect(stdout).to.match(new RegExp(` \\(PostgreSQL\\) ${majorVersion}\\.`));
      }
    }
  });

  it('are there for the major version before, whose databases are gone on from', () => {
    expect(Number(previousBinaries().majorVersion)).to.equal(Number(postgresBinaries().majorVersion) - 1);
  });
});
