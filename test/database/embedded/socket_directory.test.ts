import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';
import { EmbeddedPostgresError } from '../../../src/database/embedded/errors.ts';
import { openSocketDirectory } from '../../../src/database/embedded/socket_directory.ts';
import { remove, temporaryDirectory } from '../../support/embedded.ts';

describe('the socket directory', () => {
  let directory: string;

  beforeEach(() => {
    directory = temporaryDirectory();
  });

  afterEach(() => remove(directory));

  /** A directory whose socket's path has this many bytes. */
  function ofLength(bytes: number): string {
    const path = join(
      directory,
      'x'.repeat(bytes - Buffer.byteLength(join(directory, '/', '.s.PGSQL.5432')) - 1),
    );
    mkdirSync(path, { recursive: true });
    expect(Buffer.byteLength(join(path, '.s.PGSQL.5432'))).to.equal(bytes);
    return path;
  }

  it('is refused with a long path on a system that has no names for descriptors', () => {
    expect(() => openSocketDirectory(ofLength(108), 'darwin')).to.throw(EmbeddedPostgresError, 'shorter');
  });

  it('is refused when it does not exist and its path is long', () => {
    expect(() => openSocketDirectory(`/none/${'x'.repeat(200)}`)).to.throw();
  });

  it('goes by its own name when that fits, and by a short one from one byte more on', function () {
    if (process.platform !== 'linux') return this.skip();
    const fits = ofLength(107);
    const short = openSocketDirectory(fits);
    expect(short.host).to.equal(fits);
    short.close();
    const long = openSocketDirectory(ofLength(108));
    expect(Buffer.byteLength(long.host)).to.be.lessThan(60);
    long.close();
  });

  it('is the directory itself under either name', async function () {
    if (process.platform !== 'linux') return this.skip();
    for (const bytes of [107, 108]) {
      const path = ofLength(bytes);
      const { host, close } = openSocketDirectory(path);
      const server = createServer((socket) => socket.end('here'));
      server.listen(`${host}/.s.PGSQL.5432`);
      await once(server, 'listening');
      const socket = connect(`${host}/.s.PGSQL.5432`);
      const [data] = await once(socket, 'data');
      expect(`${data}`).to.equal('here');
      socket.destroy();
      server.close();
      close();
    }
  });
});
