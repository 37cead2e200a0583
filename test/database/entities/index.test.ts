import { readdirSync } from 'node:fs';
import { expect } from 'chai';
import * as exported from '../../../src/database/entities/index.ts';

describe('the list of entities', () => {
  it('names every entity that has a file', () => {
    const directory = new URL('../../../src/database/entities/', import.meta.url);
    const files = readdirSync(directory).filter((name) => name !== 'index.ts');
    expect(exported.entities).to.have.length(files.length);
    const classes = files.map((name) =>
      name.replace('.ts', '').replaceAll(/(^|_)(\w)/g, (_, __, letter) => letter.toUpperCase()),
    );
    expect(exported.entities.map(({ name }) => name)).to.have.members(classes);
    expect(Object.keys(exported)).to.include.members(classes);
  });
});
