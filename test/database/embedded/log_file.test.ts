import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { openLogFile } from '../../../src/database/embedded/log_file.ts';
import { remove, temporaryDirectory } from '../../support/embedded.ts';
import { eventually } from '../../support/eventually.ts';

describe('the log file', () => {
  let directory: string;
  let path: string;

  beforeEach(() => {
    directory = temporaryDirectory();
    path = join(directory, 'log');
  });

  afterEach(() => remove(directory));

  it('is not opened through a link, nor put aside through one', () => {
    const other = join(directory, 'other');
    writeFileSync(other, 'not ours');
    symlinkSync(other, path);
    expect(() => openLogFile(path))
      .to.throw()
      .with.property('code', 'ELOOP');
    rmSync(path);
    symlinkSync(other, `${path}.1`);
    writeFileSync(path, 'x'.repeat(200));
    openLogFile(path, { limit: 100 }).close();
    expect(readFileSync(other, 'utf8')).to.equal('not ours');
    expect(readFileSync(`${path}.1`, 'utf8')).to.equal('x'.repeat(200));
  });

  it('is for its owner alone', () => {
    openLogFile(path).close();
    expect(statSync(path).mode & 0o777).to.equal(0o600);
  });

  it('is cut under a child that goes on writing, and what it held is kept once', () => {
    const file = openLogFile(path, { limit: 100 });
    const write = (text: string): void => {
      spawnSync('printf', ['%s', text], { stdio: ['ignore', file.descriptor, 'ignore'] });
    };
    write('a'.repeat(80));
    file.rotate();
    expect(existsSync(`${path}.1`)).to.equal(false);
    write('b'.repeat(80));
    file.rotate();
    expect(readFileSync(`${path}.1`, 'utf8')).to.equal('a'.repeat(80) + 'b'.repeat(80));
    write('c');
    expect(readFileSync(path, 'utf8')).to.equal('c');
    write('d'.repeat(200));
    file.rotate();
    expect(statSync(`${path}.1`).size).to.equal(201);
    expect(statSync(path).size).to.equal(0);
    file.close();
  });

  it('is looked at when it is opened and from time to time', async () => {
    writeFileSync(path, 'x'.repeat(200));
    const file = openLogFile(path, { limit: 100, checkMs: 10 });
    expect(statSync(path).size).to.equal(0);
    writeSync(file.descriptor, 'y'.repeat(200));
    await eventually(() => statSync(path).size === 0);
    file.close();
  });

  it('gives its end in whole lines', () => {
    const file = openLogFile(path);
    expect(file.tail(100)).to.equal('');
    writeSync(file.descriptor, 'one\ntwo\nthree\n');
    expect(file.tail(100)).to.equal('one\ntwo\nthree');
    expect(file.tail(8)).to.equal('three');
    file.close();
  });
});
