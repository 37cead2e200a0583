import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { EXIT_BAD_CONFIGURATION, loadConfig } from '../../src/server/config.ts';
import { CONFIG_VARIABLE, DEFAULT_CONFIG_FILE, readConfig } from '../../src/server/config_sources.ts';
import { remove, temporaryDirectory } from '../support/embedded.ts';

const root = join(import.meta.dirname, '../..');
const unit = join(root, 'deploy/systemd/passmanager.service');
const ANALYZE = '/usr/bin/systemd-analyze';

const withoutFile = ({ [CONFIG_VARIABLE]: _, ...settings }: Record<string, string>) => settings;

describe('the systemd unit', () => {
  const text = readFileSync(unit, 'utf8');
  const values = (name: string): string[] =>
    text
      .split('\n')
      .filter((entry) => entry.startsWith(`${name}=`))
      .map((entry) => entry.slice(name.length + 1));

  it('starts what npm start starts, as a user of its own, with settings that exist', () => {
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    const [directory] = values('WorkingDirectory');
    expect(values('ExecStart')).to.deep.equal([
      scripts.start.replace(/^exec /, `${directory}/node_modules/.bin/`),
    ]);
    expect(values('User')).to.deep.equal(['passmanager']);
    const settings = Object.fromEntries(values('Environment').map((setting) => setting.split('=')));
    expect(settings[CONFIG_VARIABLE]).to.equal(
      `/etc/${values('ConfigurationDirectory')[0]}/passmanager.toml`,
    );
    expect(loadConfig(withoutFile(settings)).dataDir).to.equal(`/var/lib/${values('StateDirectory')[0]}`);
  });

  it('is installed by the README as it wants to be, and its commands find the database by the same file', () => {
    const readme = readFileSync(join(root, 'README.md'), 'utf8');
    const block = /^```sh\n(sudo useradd [\s\S]*?)^```$/m.exec(readme)![1]!;
    const settings = Object.fromEntries(values('Environment').map((setting) => setting.split('=')));
    const file = settings[CONFIG_VARIABLE]!;
    expect(block)
      .to.include(`useradd --system ${values('User')[0]}\n`)
      .and.to.include(`tee ${file}\n`);
    expect(block).to.include(`--config ${file} `).and.to.include('cp deploy/systemd/passmanager.service ');
    const [, line] = /echo '(.+)' \|/.exec(block)!;
    const directory = temporaryDirectory();
    writeFileSync(join(directory, DEFAULT_CONFIG_FILE), `${line}\n`);
    expect(readConfig({}, directory).dataDir).to.equal(loadConfig(withoutFile(settings)).dataDir);
    remove(directory);
  });

  it('has the certificate read again, and does not start again what is not configured well', () => {
    expect(values('ExecReload')).to.deep.equal(['/bin/kill -HUP $MAINPID']);
    expect(values('RestartPreventExitStatus')).to.deep.equal([String(EXIT_BAD_CONFIGURATION)]);
  });

  it('may do nothing that the server does not need, and leaves it what it does', () => {
    for (const name of [
      'NoNewPrivileges',
      'PrivateDevices',
      'PrivateTmp',
      'RestrictNamespaces',
      'ProtectHome',
    ])
      expect(values(name), name).to.deep.equal(['yes']);
    expect(values('CapabilityBoundingSet')).to.deep.equal(['']);
    // V8 makes code as it runs.
    expect(values('MemoryDenyWriteExecute')).to.deep.equal([]);
    // A start may copy the whole database: nothing cuts it short.
    expect([...values('Type'), ...values('TimeoutStartSec')]).to.deep.equal([]);
    // PostgreSQL is ended by the server, after the last answer.
    expect(values('KillMode')).to.deep.equal(['mixed']);
  });

  it('is what systemd reads without a word, and finds well protected, where it is installed', () => {
    if (!existsSync(ANALYZE)) return;
    const directory = temporaryDirectory();
    const here = join(directory, 'passmanager.service');
    writeFileSync(here, text.replaceAll('/opt/passmanager', root));
    const verified = spawnSync(ANALYZE, ['verify', here], { encoding: 'utf8' });
    expect(verified.stderr).not.to.include('passmanager.service');
    const security = spawnSync(ANALYZE, ['security', '--offline=true', here], { encoding: 'utf8' });
    const [, exposure] = /exposure level for passmanager\.service: ([\d.]+)/.exec(security.stdout) ?? [];
    expect(Number(exposure)).to.be.within(0, 2);
    remove(directory);
  });
});
