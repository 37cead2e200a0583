import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { renderSampleFile } from '../../../src/server/config_documents.ts';
import { runCli } from '../../support/cli.ts';

describe('passmanager config', () => {
  it('shows what is in force and where it comes from, and never a secret', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'pm-cli-config-'));
    try {
      const file = join(directory, 'own.toml');
      writeFileSync(file, 'grpc_port = 50052\ndatabase_url = "postgres://u:hunter2@h/d"\n');
      for (const more of [[], ['--json']]) {
        const { code, out } = await runCli(['-c', file, 'config', ...more], {
          PASSMANAGER_HTTP_PORT: '8082',
        });
        expect(code).to.equal(0);
        expect(out).to.include('50052').and.to.include(file).and.to.include('environment');
        expect(out).not.to.include('hunter2');
      }
      const changed = await runCli(['-c', file, 'config', '--changed']);
      expect(changed.out.split('\n')).to.have.length(3);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });

  it('prints the annotated sample', async () => {
    expect((await runCli(['config', '--sample'])).out).to.equal(renderSampleFile().trimEnd());
  });
});
