import { resolve } from 'node:path';
import { expect } from 'chai';
import { layoutOf } from '../../../src/database/embedded/layout.ts';

describe('the layout of a data directory', () => {
  it('is below it, whatever the working directory becomes', () => {
    const layout = layoutOf('data');
    expect(layout.dataDir).to.equal(resolve('data'));
    for (const path of Object.values(layout)) expect(path.startsWith(resolve('data'))).to.equal(true);
  });

  it('has everything that PostgreSQL touches in one directory', () => {
    const { dataDir, home, ...inside } = layoutOf('/srv/data');
    for (const path of Object.values(inside)) expect(path.startsWith(`${home}/`)).to.equal(true);
    expect(home).to.equal(`${dataDir}/postgres`);
    expect(dataDir).to.equal('/srv/data');
    expect(new Set(Object.values(inside))).to.have.length(Object.keys(inside).length);
  });
});
