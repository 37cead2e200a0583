import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { startTestServer } from '../support/test_server.ts';

const folder = fileURLToPath(new URL('../../examples/python/', import.meta.url));
const vectors = fileURLToPath(new URL('../vectors/protocol-v1.json', import.meta.url));

const ENVIRONMENT = { PATH: '/usr/local/bin:/usr/bin:/bin', PYTHONDONTWRITEBYTECODE: '1', LC_ALL: 'C.UTF-8' };

/** The system's Python: the one that Debian's packages are for. */
const PYTHON = ['/usr/bin/python3', 'python3'];

function python(parameters: readonly string[]): { status: number | null; output: string } | undefined {
  for (const program of PYTHON) {
    const { status, stdout, stderr, error } = spawnSync(program, parameters, {
      cwd: folder,
      encoding: 'utf8',
      timeout: 60_000,
      env: ENVIRONMENT,
    });
    if (error === undefined) return { status, output: stdout + stderr };
  }
  return undefined;
}

/** The same beside a server that runs in this process, with a directory for temporary files. */
function pythonBeside(
  parameters: readonly string[],
  temporary: string,
): Promise<{ status: number; output: string }> {
  return new Promise((resolve) => {
    execFile(
      '/usr/bin/python3',
      parameters,
      { cwd: folder, timeout: 60_000, env: { ...ENVIRONMENT, TMPDIR: temporary } },
      (error, stdout, stderr) => resolve({ status: error === null ? 0 : 1, output: stdout + stderr }),
    );
  });
}

const hasPython = python(['-c', '']) !== undefined;
const hasPackages =
  python(['-c', 'import grpc, google.protobuf, cryptography, argon2'])?.status === 0 &&
  spawnSync('protoc', ['--descriptor_set_out=/dev/null', 'google/protobuf/descriptor.proto'], {
    cwd: '/usr/include',
  }).status === 0;

describe('the client in Python', function () {
  this.timeout(90_000);

  // Where a machine has no Python there is nothing of it to be shown; each test says what it could look at.
  it(
    hasPython ? 'agrees with the known answers' : 'is there to be read (no Python on this machine)',
    async () => {
      if (!hasPython) {
        const { readFileSync } = await import('node:fs');
        expect(readFileSync(`${folder}client.py`, 'utf8')).to.include('def register');
        return;
      }
      const { status, output } = python(['protocol.py', vectors])!;
      expect(output).to.match(/^\d+ log-ins agree with the known answers/);
      expect(status).to.equal(0);
    },
  );

  it(
    hasPackages
      ? 'registers, logs in, stores, reads, is refused by type, deletes its account and leaves no file'
      : 'is valid Python',
    async () => {
      if (!hasPackages) {
        if (!hasPython) return;
        const check = 'import ast, sys; [ast.parse(open(name).read()) for name in sys.argv[1:]]';
        expect(python(['-c', check, 'client.py', 'protocol.py'])!.status).to.equal(0);
        return;
      }
      const server = await startTestServer();
      const temporary = await mkdtemp(join(tmpdir(), 'pm-python-'));
      try {
        const { status, output } = await pythonBeside(['client.py', server.grpcAddress], temporary);
        expect(output.split('\n'), output).to.deep.equal([
          'Example Bank jJ5!xQ0',
          "NOT_FOUND [(31, 'entry_id')]",
          'UNAUTHENTICATED',
          "ALREADY_EXISTS [(40, 'username_hash')]",
          "WrongCredentials UNAUTHENTICATED [(11, 'request')]",
          'WrongCredentials once the account is gone',
          '',
        ]);
        expect(status).to.equal(0);
        const users = await server.database.query('select count(*)::int as users from users');
        expect(users).to.deep.equal([{ users: 0 }]);
        expect(await readdir(temporary), 'what the client left behind').to.deep.equal([]);
      } finally {
        await rm(temporary, { recursive: true });
        await server.stop();
      }
    },
  );
});
