import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { isBelow, oldestNode, packageOfProgram, packageRoot } from '../../src/server/package.ts';

describe('the package of the program', () => {
  it('says its version, the Node that it needs and where it lies', () => {
    const { version, engines } = JSON.parse(
      readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'),
    );
    expect(packageOfProgram()).to.deep.include({ version, engines });
    expect(engines.node).to.equal(`>=${oldestNode()}`);
    expect(existsSync(join(packageRoot(), 'examples/passwords.csv'))).to.equal(true);
  });

  it('tells versions apart by three numbers', () => {
    for (const version of ['1.14.3', '1.9.9', '0.15.0', '1.14.3-beta.9'])
      expect(isBelow(version, '1.14.4'), version).to.equal(true);
    for (const version of ['1.14.4', '1.14.10', '1.15.0', '2.0.0', '1.14.4-nightly'])
      expect(isBelow(version, '1.14.4'), version).to.equal(false);
  });
});
