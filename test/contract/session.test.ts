import { readdir } from 'node:fs/promises';
import { expect } from 'chai';
import * as session from '../../src/contract/session.ts';

describe('the contract of session', () => {
  it('has everything that was generated for passmanager.session.v1', async () => {
    const generated = new URL('../../gen/passmanager/session/v1/', import.meta.url);
    const files = await readdir(generated);
    const modules = await Promise.all(files.map((file) => import(new URL(file, generated).href)));
    expect(files.length).to.be.greaterThan(1);
    expect(session).to.have.all.keys(modules.flatMap((module) => Object.keys(module)));
  });
});
