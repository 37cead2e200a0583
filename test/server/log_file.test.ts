import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { createLogger } from '../../src/server/log.ts';
import { openLogFile } from '../../src/server/log_file.ts';
import { remove, temporaryDirectory } from '../support/embedded.ts';
import { eventually } from '../support/eventually.ts';
import { rejection } from '../support/rejection.ts';

describe('the log in a file', () => {
  const directory = temporaryDirectory();
  after(() => remove(directory));

  it('is refused where it cannot be written', async () => {
    expect((await rejection(openLogFile(join(directory, 'missing/log')))).message).to.contain('ENOENT');
  });

  it('is rotated by its size, for its owner alone, and goes on', async () => {
    const path = join(directory, 'server.log');
    const stream = await openLogFile(path, 1);
    const log = createLogger('info', stream);
    const line = 'x'.repeat(1_000);
    for (let index = 0; index < 1_300; index += 1) log.info({ failure: line }, 'a line');
    await eventually(() => readdirSync(directory).length > 1);
    log.info('the last line');
    await eventually(() => readFileSync(path, 'utf8').includes('the last line'));
    for (const name of readdirSync(directory))
      expect(statSync(join(directory, name)).mode & 0o777, name).to.equal(0o600);
    await new Promise<void>((resolve) => stream.end(resolve));
  });
});
