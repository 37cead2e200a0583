/**
 * PostgreSQL with a standby as deploy/patroni configures it, on loopback below one directory: one etcd, two nodes under
 * Patroni, and HAProxy in front of them. Linux, with the packages of Debian 12: patroni, etcd-server, haproxy, postgresql-15.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { parse, stringify } from 'yaml';
import { isRoot } from '../support/embedded.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free_port.ts';
import { account, isSafeOnEtcd3, Node, patroniVersion, programs } from './node.ts';

const root = join(import.meta.dirname, '../..');
const templates = join(root, 'deploy/patroni');
const tls = join(root, 'test/fixtures/tls');

/** A node as Patroni's REST API tells it. */
interface Member {
  readonly name: string;
  readonly role: string;
  readonly state: string;
}

const ended = (child: ChildProcess): Promise<unknown> =>
  child.exitCode !== null || child.signalCode !== null
    ? Promise.resolve()
    : new Promise((resolve) => child.once('exit', resolve));

export class Cluster {
  readonly #directory: string;
  readonly #account = account();
  readonly #usesEtcd3 = isSafeOnEtcd3(patroniVersion());
  readonly #passwords = { app: password(), replicator: password(), rewind: password(), rest: password() };
  readonly #nodes: Node[] = [];
  #etcd: ChildProcess | undefined;
  #etcdCommand: string[] = [];
  #etcdHost = '';
  #proxy: ChildProcess | undefined;
  #port = 0;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** The database through HAProxy, as a setting of the server. */
  get url(): string {
    const ca = encodeURIComponent(join(tls, 'certificate.pem'));
    return `postgres://passmanager:${this.#passwords.app}@localhost:${this.#port}/passmanager?sslmode=verify-full&sslrootcert=${ca}`;
  }

  /** Resolves when both nodes run and the standby is synchronous. */
  async start(): Promise<void> {
    await this.#prepareEtcd();
    this.startEtcd();
    for (const name of ['one', 'two']) await this.#prepareNode(name);
    // The first makes the cluster, the second copies it.
    this.#startPatroni(this.#nodes[0]!);
    await eventually(async () => (await this.primary().catch(() => undefined)) !== undefined, 60_000);
    this.#startPatroni(this.#nodes[1]!);
    await this.#makeDatabase();
    await this.whole();
    await this.#startProxy();
  }

  /** Ends everything that was started, the frozen too. */
  async stop(): Promise<void> {
    for (const node of this.#nodes) node.signal('SIGCONT');
    const patronis = this.#nodes.flatMap(({ patroni }) => patroni ?? []);
    for (const patroni of patronis) patroni.kill('SIGTERM');
    const late = new Promise((resolve) => setTimeout(resolve, 15_000).unref());
    await Promise.race([Promise.all(patronis.map(ended)), late]);
    for (const node of this.#nodes) node.signal('SIGKILL');
    for (const child of [this.#proxy, this.#etcd]) {
      child?.kill('SIGKILL');
      if (child !== undefined) await ended(child);
    }
    await eventually(() => this.#nodes.every((node) => node.processes().length === 0), 5_000);
  }

  /** The node that holds the leader's lock. Rejects while there is none. */
  async primary(): Promise<string> {
    const members = await this.members();
    const leader = members.find(({ role, state }) => role === 'leader' && state === 'running');
    if (leader === undefined) throw new Error('no primary');
    return leader.name;
  }

  /** What any Patroni that answers knows of both. */
  async members(): Promise<readonly Member[]> {
    const answers = this.#nodes.map(async ({ restPort }) => {
      const response = await fetch(`http://127.0.0.1:${restPort}/cluster`, {
        signal: AbortSignal.timeout(1_000),
      });
      return ((await response.json()) as { members: Member[] }).members;
    });
    return Promise.any(answers);
  }

  /** Waits until there is a primary and a synchronous standby. */
  async whole(): Promise<void> {
    await eventually(async () => {
      const members = await this.members().catch(() => []);
      const is = (role: string, states: RegExp) =>
        members.some((member) => member.role === role && states.test(member.state));
      return is('leader', /^running$/) && is('sync_standby', /^(running|streaming)$/);
    }, 120_000);
  }

  other(name: string): string {
    return this.#nodes.find((node) => node.name !== name)!.name;
  }

  /** A planned change of primaries. Resolves when Patroni says that it is done. */
  async switchover(): Promise<void> {
    const leader = await this.primary();
    const response = await fetch(`http://127.0.0.1:${this.#node(leader).restPort}/switchover`, {
      method: 'POST',
      headers: {
        authorization: `Basic ${Buffer.from(`patroni:${this.#passwords.rest}`).toString('base64')}`,
      },
      body: JSON.stringify({ leader, candidate: this.other(leader) }),
    });
    if (!response.ok) throw new Error(await response.text());
  }

  /** Kills Patroni and every process of PostgreSQL on a node at once. */
  kill(name: string): void {
    this.#node(name).signal('SIGKILL');
  }

  /** Leaves a node's PostgreSQL without its Patroni. */
  killPatroni(name: string): void {
    this.#node(name).patroni?.kill('SIGKILL');
  }

  /** Kills PostgreSQL alone: its Patroni starts it again. */
  killPostgres(name: string): void {
    this.#node(name).signalPostgres('SIGKILL');
  }

  /** Stops a node where it is, as a machine that hangs: its connections stay open, and it answers nothing. */
  freeze(name: string): void {
    this.#node(name).signal('SIGSTOP');
  }

  thaw(name: string): void {
    this.#node(name).signal('SIGCONT');
  }

  /** Starts the Patroni of a node that was killed; it brings PostgreSQL back. */
  restart(name: string): void {
    this.#startPatroni(this.#node(name));
  }

  killEtcd(): void {
    this.#etcd?.kill('SIGKILL');
  }

  startEtcd(): void {
    this.#etcd = this.#spawn(this.#etcdCommand, 'etcd.log');
  }

  #node(name: string): Node {
    return this.#nodes.find((node) => node.name === name)!;
  }

  async #prepareEtcd(): Promise<void> {
    const [client, peer] = [await freePort(), await freePort()];
    const directory = this.#makeDirectory('etcd');
    const file = join(directory, 'etcd.yaml');
    const address = (port: number) => `http://127.0.0.1:${port}`;
    this.#write(file, {
      ...parse(readFileSync(join(templates, 'etcd.yaml'), 'utf8')),
      'data-dir': join(directory, 'data'),
      'listen-client-urls': address(client),
      'advertise-client-urls': address(client),
      'listen-peer-urls': address(peer),
      'initial-advertise-peer-urls': address(peer),
      'initial-cluster': `one=${address(peer)}`,
      ...(this.#usesEtcd3 ? { 'enable-v2': false, 'enable-grpc-gateway': true } : {}),
    });
    this.#etcdCommand = ['etcd', '--config-file', file];
    this.#etcdHost = `127.0.0.1:${client}`;
  }

  async #prepareNode(name: string): Promise<void> {
    const directory = this.#makeDirectory(name);
    const node = new Node(name, directory, await freePort(), await freePort());
    const key = join(directory, 'server.key');
    writeFileSync(key, readFileSync(join(tls, 'key.pem')), { mode: 0o600 });
    this.#own(key);
    const certificate = join(directory, 'server.pem');
    writeFileSync(certificate, readFileSync(join(tls, 'certificate.pem')));
    const { replicator, rewind, rest } = this.#passwords;
    // biome-ignore lint/suspicious/noExplicitAny: a document whose shape is Patroni's.
    const config: any = parse(readFileSync(join(templates, 'patroni.yaml'), 'utf8'));
    config.name = name;
    config.etcd.hosts = [this.#etcdHost];
    if (this.#usesEtcd3) {
      config.etcd3 = config.etcd;
      delete config.etcd;
    }
    const address = `127.0.0.1:${node.restPort}`;
    Object.assign(config.restapi, { listen: address, connect_address: address });
    config.restapi.authentication.password = rest;
    const database = config.bootstrap.dcs.postgresql;
    database.pg_hba = database.pg_hba.map((line: string) => line.replace(/10\.0\.0\.0\/\d+/, '127.0.0.1/32'));
    const { postgresql } = config;
    Object.assign(postgresql, {
      listen: `127.0.0.1:${node.port}`,
      connect_address: `127.0.0.1:${node.port}`,
      data_dir: node.data,
      bin_dir: programs(),
      pgpass: join(directory, 'pgpass'),
    });
    if (!isRoot) {
      // The only superuser's name is postgres; the account is whoever runs this.
      database.pg_hba = database.pg_hba.map((line: string) => line.replace(/ peer$/, ' trust'));
    }
    for (const [role, secret] of [
      ['replication', replicator],
      ['rewind', rewind],
    ])
      Object.assign(postgresql.authentication[role!], { password: secret, sslrootcert: certificate });
    Object.assign(postgresql.parameters, {
      unix_socket_directories: directory,
      ssl_cert_file: certificate,
      ssl_key_file: key,
    });
    // There is one machine here, and nothing may reset it.
    config.watchdog.mode = 'off';
    this.#write(join(directory, 'patroni.yaml'), config);
    this.#nodes.push(node);
  }

  #startPatroni(node: Node): void {
    node.patroni = this.#spawn(['patroni', join(node.directory, 'patroni.yaml')], `${node.name}.log`);
  }

  async #makeDatabase(): Promise<void> {
    const node = this.#node(await this.primary());
    const run = (...statements: string[]) => {
      const parameters = ['--no-psqlrc', '--host', node.directory, '--port', `${node.port}`];
      const commands = statements.flatMap((statement) => ['--command', statement]);
      const [program, ...rest] = [...this.#account.prefix, join(programs(), 'psql')];
      const { status, stderr } = spawnSync(
        program!,
        [...rest, ...parameters, '--username', 'postgres', ...commands],
        { encoding: 'utf8', cwd: '/' },
      );
      if (status !== 0) throw new Error(stderr);
    };
    run(
      `create role passmanager login password '${this.#passwords.app}'`,
      'create database passmanager owner passmanager',
    );
  }

  async #startProxy(): Promise<void> {
    this.#port = await freePort();
    const file = join(this.#directory, 'haproxy-postgres.cfg');
    let text = readFileSync(join(templates, 'haproxy.cfg'), 'utf8').replace(
      'bind 127.0.0.1:5432',
      `bind 127.0.0.1:${this.#port}`,
    );
    for (const { name, port, restPort } of this.#nodes)
      text = text.replace(
        new RegExp(`server ${name} \\S+ check port 8008`),
        `server ${name} 127.0.0.1:${port} check port ${restPort}`,
      );
    writeFileSync(file, text);
    this.#proxy = spawn('haproxy', ['-db', '-f', file], { stdio: 'ignore' });
    await eventually(async () => {
      const client = new pg.Client({ connectionString: this.url });
      client.on('error', () => {});
      try {
        await client.connect();
        await client.end();
        return true;
      } catch {
        return false;
      }
    }, 15_000);
  }

  #spawn(command: string[], log: string): ChildProcess {
    const [program, ...parameters] = [...this.#account.prefix, ...command];
    const output = openSync(join(this.#directory, log), 'a');
    return spawn(program!, parameters, {
      stdio: ['ignore', output, output],
      cwd: this.#directory,
      env: { PATH: process.env.PATH, LC_ALL: 'C.UTF-8' },
      // A terminal's interrupt is for the run, which ends its children in order.
      detached: true,
    });
  }

  #makeDirectory(name: string): string {
    const directory = join(this.#directory, name);
    mkdirSync(directory, { mode: 0o700 });
    chmodSync(this.#directory, 0o755);
    this.#own(directory);
    return directory;
  }

  #write(file: string, content: object): void {
    writeFileSync(file, stringify(content), { mode: 0o600 });
    this.#own(file);
  }

  #own(path: string): void {
    if (this.#account.uid !== undefined) chownSync(path, this.#account.uid, this.#account.uid);
  }
}

function password(): string {
  return randomBytes(16).toString('hex');
}
