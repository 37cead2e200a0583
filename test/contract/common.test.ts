import { readdir } from 'node:fs/promises';
import { expect } from 'chai';
import * as common from '../../src/contract/common.ts';

describe('the contract of common', () => {
  it('has everything that was generated for passmanager.common.v1', async () => {
    const generated = new URL('../../gen/passmanager/common/v1/', import.meta.url);
    const files = await readdir(generated);
    const modules = await Promise.all(files.map((file) => import(new URL(file, generated).href)));
    expect(files.length).to.be.greaterThan(1);
    expect(common).to.have.all.keys(modules.flatMap((module) => Object.keys(module)));
  });
});
