import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

describe('the edge of the passmanager command', function () {
  this.timeout(60_000);

  async function run(parameters: readonly string[], environment: Record<string, string> = {}) {
    const child = spawn(process.execPath, [MAIN, ...parameters], { env: environment, stdio: 'pipe' });
    const closed = once(child, 'close');
    const [out, notes, [code]] = await Promise.all([text(child.stdout), text(child.stderr), closed]);
    return { out, notes, code };
  }

  it('ends with the exit code of the command', async () => {
    expect((await run(['nonsense'])).code).to.equal(64);
    expect((await run(['config'], { PASSMANAGER_GRPC_PORT: 'x' })).code).to.equal(78);
  });

  it('ends as it would where nobody reads on', async () => {
    const child = spawn(process.execPath, [MAIN, 'config'], { env: {}, stdio: 'pipe' });
    child.stdout.destroy();
    const closed = once(child, 'close');
    const [notes, [code]] = await Promise.all([text(child.stderr), closed]);
    expect(notes).to.equal('');
    expect(code).to.equal(0);
  });

  it('answers on standard output, from the environment of the process', async () => {
    const { out, code } = await run(['config', '--json', '--changed'], { PASSMANAGER_GRPC_PORT: '5' });
    expect(code).to.equal(0);
    expect(JSON.parse(out)).to.deep.equal([
      { name: 'PASSMANAGER_GRPC_PORT', key: 'grpc_port', value: '5', origin: 'environment' },
    ]);
  });

  it('has the version of the package', async () => {
    expect((await run(['--version'])).out).to.match(/^\d+\.\d+\.\d+\n$/);
  });
});
