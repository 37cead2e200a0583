import { readdir } from 'node:fs/promises';
import { expect } from 'chai';
import * as data from '../../src/contract/data.ts';

describe('the contract of data', () => {
  it('has everything that was generated for passmanager.data.v1', async () => {
    const generated = new URL('../../gen/passmanager/data/v1/', import.meta.url);
    const files = await readdir(generated);
    const modules = await Promise.all(files.map((file) => import(new URL(file, generated).href)));
    expect(files.length).to.be.greaterThan(1);
    expect(data).to.have.all.keys(modules.flatMap((module) => Object.keys(module)));
  });
});
