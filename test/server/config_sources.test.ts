import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { ConfigError } from '../../src/server/config.ts';
import { effectiveSettings, readConfig, secretFiles } from '../../src/server/config_sources.ts';

describe('the sources of settings', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'pm-config-'));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  const write = (name: string, text: string): string => {
    const path = join(directory, name);
    writeFileSync(path, text);
    return path;
  };

  function problemsOf(environment: Record<string, string>): readonly string[] {
    try {
      readConfig(environment, directory);
    } catch (error) {
      if (error instanceof ConfigError) return error.problems;
      throw error;
    }
    return [];
  }

  it('names all that is wrong with a file and the environment at once, and no value of either', () => {
    const path = write(
      'passmanager.toml',
      'grpc_port = 70000\nlog_level = "loud"\ngrcp_port = 1\n[limits]\nmax_page_size = "hunter2"\n',
    );
    const problems = problemsOf({ PASSMANAGER_REFLECTION: 'hunter2', PASSMANAGER_HOTS: 'x' });
    expect(problems).to.have.length(6);
    expect(problems.join('\n')).not.to.include('hunter2');
    expect(problems.join('\n'))
      .to.include(`grcp_port in ${path} is not a setting`)
      .and.to.include(`limits in ${path} is not a setting`)
      .and.to.include(`grpc_port in ${path} takes a whole number from 0 to 65535`)
      .and.to.include('PASSMANAGER_REFLECTION takes on, off')
      .and.to.include('PASSMANAGER_HOTS is not a setting');
  });

  it('refuses a file that is not TOML, with the place and not the text', () => {
    const path = write('broken.toml', 'grpc_port = 1\nsecret = = "hunter2"\n');
    const problems = problemsOf({ PASSMANAGER_CONFIG: path });
    expect(problems).to.have.length(1);
    expect(problems[0]).to.include('line 2').and.not.to.include('hunter2');
  });

  it('refuses a value of a kind that no setting has', () => {
    write('passmanager.toml', 'grpc_port = 1.5\nhost = 1979-05-27\ncors_origins = [1]\n');
    expect(problemsOf({})).to.have.length(3);
  });

  it('refuses a file that was named and is not there, and takes no file for none', () => {
    expect(problemsOf({ PASSMANAGER_CONFIG: 'nowhere.toml' })[0]).to.include('ENOENT');
    expect(problemsOf({})).to.deep.equal([]);
  });

  it('refuses a secret that is said twice, and a file of a secret that is not there', () => {
    const path = write('url', 'postgres://u:p@h/d\n');
    expect(
      problemsOf({ PASSMANAGER_DATABASE_URL: 'postgres://u:p@h/d', PASSMANAGER_DATABASE_URL_FILE: path }),
    ).to.have.length(1);
    expect(problemsOf({ PASSMANAGER_DATABASE_URL_FILE: join(directory, 'no') })[0]).to.include('ENOENT');
    expect(problemsOf({ PASSMANAGER_GRPC_PORT_FILE: path })).to.have.length(1);
  });

  it('refuses a secret that the file says twice, and one whose file is not there', () => {
    write('passmanager.toml', 'database_url = "postgres://u:p@h/d"\ndatabase_url_file = "url"\n');
    expect(problemsOf({})).to.have.length(1);
    const path = write('passmanager.toml', 'database_url_file = "no"\ngrpc_port_file = "no"\n');
    const problems = problemsOf({});
    expect(problems).to.have.length(2);
    expect(problems.join('\n'))
      .to.include(`grpc_port_file in ${path} is not a setting`)
      .and.to.include(`database_url_file in ${path}`)
      .and.to.include('ENOENT');
  });

  it('reads a secret from a file that the file of settings names, unless the environment says it', () => {
    const url = write('url', 'postgres://u:p@h/d\n');
    const other = write('other', 'postgres://u:p@h/other\n');
    write('passmanager.toml', 'database_url_file = "url"\n');
    expect(readConfig({}, directory).databaseUrl).to.equal('postgres://u:p@h/d');
    expect(effectiveSettings({}, directory).find(({ key }) => key === 'database_url')).to.deep.include({
      value: '(hidden)',
      origin: 'url',
    });
    expect(readConfig({ PASSMANAGER_DATABASE_URL_FILE: other }, directory).databaseUrl).to.match(/other$/);
    rmSync(url);
    expect(readConfig({ PASSMANAGER_DATABASE_URL: 'postgres://h/third' }, directory).databaseUrl).to.match(
      /third$/,
    );
  });

  it('reads a file with the values of TOML, and the environment wins over it', () => {
    write(
      'passmanager.toml',
      'grpc_port = 50052\nhttp_port = 8081\nreflection = true\ncors_origins = ["https://a.example", "https://b.example"]\n',
    );
    expect(readConfig({ PASSMANAGER_HTTP_PORT: '8082' }, directory)).to.deep.include({
      grpcPort: 50_052,
      httpPort: 8_082,
      reflection: true,
      corsOrigins: ['https://a.example', 'https://b.example'],
    });
  });

  it('reads a secret from a file of its own', () => {
    const path = write('url', 'postgres://u:p@h/d\n');
    expect(readConfig({ PASSMANAGER_DATABASE_URL_FILE: path }, directory).databaseUrl).to.equal(
      'postgres://u:p@h/d',
    );
  });

  it('names the files that secrets come from', () => {
    expect(secretFiles({ PASSMANAGER_DATABASE_URL: 'postgres://h/d' }, directory)).to.deep.equal([]);
    const url = write('url', 'postgres://u:p@h/d\n');
    const file = write('passmanager.toml', 'otlp_endpoint = "http://me:secret@127.0.0.1:4318"\n');
    expect(secretFiles({ PASSMANAGER_DATABASE_URL_FILE: 'url' }, directory)).to.have.members([url, file]);
  });

  it('says what is in force and where it comes from, and hides secrets', () => {
    const file = write('passmanager.toml', 'grpc_port = 50052\n');
    const settings = effectiveSettings(
      { PASSMANAGER_HTTP_PORT: '8082', PASSMANAGER_DATABASE_URL: 'postgres://u:hunter2@h/d' },
      directory,
    );
    const of = (key: string) => settings.find((each) => each.key === key);
    expect(of('grpc_port')).to.deep.include({ value: '50052', origin: file });
    expect(of('http_port')).to.deep.include({ value: '8082', origin: 'environment' });
    expect(of('host')).to.deep.include({ value: '127.0.0.1', origin: 'default' });
    expect(of('database_url')).to.deep.include({ value: '(hidden)', origin: 'environment' });
    expect(JSON.stringify(settings)).not.to.include('hunter2');
  });
});
