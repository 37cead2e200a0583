import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { BACKUP_TABLES, EPHEMERAL_TABLES } from '../../src/database/backup/backup_tables.ts';

describe('docs/backup_format.md', () => {
  it('names every table that a backup holds, and every one that it leaves out', () => {
    const text = readFileSync(new URL('../../docs/backup_format.md', import.meta.url), 'utf8');
    const [held, leftOut] = text.slice(text.indexOf('## What is in it')).split(/left out/);
    for (const { name } of BACKUP_TABLES) expect(held, name).to.include(name);
    for (const { name } of EPHEMERAL_TABLES) expect(held!.split('\n\n').at(-1), name).to.include(name);
    expect(leftOut).to.be.a('string');
  });
});
