import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { packageOfProgram, packageRoot } from '../../src/server/version.ts';

describe('the version of the program', () => {
  it('is the package’s', () => {
    const { version, engines } = JSON.parse(
      readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'),
    );
    expect(packageOfProgram()).to.deep.include({ version, engines });
    expect(existsSync(join(packageRoot(), 'examples/passwords.csv'))).to.equal(true);
  });
});
