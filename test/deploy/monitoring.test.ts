import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createConnectTransport } from '@connectrpc/connect-node';
import { expect } from 'chai';
import { parse } from 'yaml';
import { PASSPHRASE } from '../support/backup_world.ts';
import { remove, temporaryDirectory } from '../support/embedded.ts';
import { eventually } from '../support/eventually.ts';
import { logIn, makeAccount, refusalOf, register, startLogin } from '../support/raw_client.ts';
import { startTestServer, type TestServer } from '../support/test_server.ts';

const root = join(import.meta.dirname, '../..');
const alerts = join(root, 'deploy/prometheus/alerts.yaml');

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly action: string };
}

/** What PromQL brings by itself, and what Prometheus adds to every target. */
const OWN_WORDS = new Set(
  'sum max by rate histogram_quantile time up le rpc outcome state door pool job kind'.split(' '),
);

/** The names of metrics in an expression: strings, durations and numbers are none. */
const namesIn = (expression: string): string[] =>
  [
    ...expression
      .replace(/"[^"]*"/g, '')
      .replace(/\[[^\]]*\]/g, '')
      .matchAll(/[a-zA-Z_:][a-zA-Z0-9_:]*/g),
  ]
    .map(([name]) => name)
    .filter((name) => !OWN_WORDS.has(name));

describe('what watches a server', () => {
  let server: TestServer;
  let exported: Set<string>;
  let text: string;
  const directory = temporaryDirectory();
  const rules = (parse(readFileSync(alerts, 'utf8')) as { groups: { rules: Rule[] }[] }).groups.flatMap(
    (group) => group.rules,
  );

  before(async () => {
    server = await startTestServer({
      settings: {
        PASSMANAGER_METRICS_ADDRESS: '127.0.0.1:0',
        PASSMANAGER_BACKUP_DIR: join(directory, 'backups'),
        PASSMANAGER_BACKUP_PASSPHRASE: PASSPHRASE,
      },
    });
    const transport = createConnectTransport({ baseUrl: server.httpUrl, httpVersion: '1.1' });
    const account = makeAccount('a name that nobody else has');
    await register(transport, account);
    await logIn(transport, account);
    await startLogin(transport, account.usernameHash);
    await refusalOf(logIn(transport, makeAccount()));
    const { host, port } = server.running.metricsAddress!;
    await eventually(async () => {
      text = await (await fetch(`http://${host}:${port}/metrics`)).text();
      return /passmanager_backup_bytes [1-9]/.test(text);
    }, 10_000);
    exported = new Set([...text.matchAll(/^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{| )/gm)].map(([, name]) => name!));
  });

  after(async () => {
    await server.stop();
    remove(directory);
  });

  it('names metrics in every alert that a running server exports, and says what to do', () => {
    expect(rules.length).to.be.greaterThan(5);
    for (const rule of rules) {
      for (const name of namesIn(rule.expr))
        expect(exported.has(name), `${rule.alert}: ${name}`).to.equal(true);
      expect(rule.for).to.match(/^\d+[mh]$/);
      expect(rule.labels.severity).to.be.oneOf(['warning', 'critical']);
      expect(rule.annotations.summary).to.match(/\.$/);
      expect(rule.annotations.action).to.match(/\.$/);
    }
    expect(new Set(rules.map(({ alert }) => alert)).size).to.equal(rules.length);
    if (!existsSync('/usr/bin/promtool')) return;
    const { status, stderr } = spawnSync('/usr/bin/promtool', ['check', 'rules', alerts], {
      encoding: 'utf8',
    });
    expect(status, stderr).to.equal(0);
  });

  it('names metrics in every panel of the dashboard that a running server exports', () => {
    const dashboard = JSON.parse(readFileSync(join(root, 'deploy/grafana/passmanager.json'), 'utf8')) as {
      panels: { id: number; title: string; targets: { expr: string }[] }[];
    };
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).to.equal(dashboard.panels.length);
    for (const { title, targets } of dashboard.panels)
      for (const { expr } of targets)
        for (const name of namesIn(expr)) expect(exported.has(name), `${title}: ${name}`).to.equal(true);
  });

  it('is all documented, and nothing that is documented is missing', () => {
    const documented = [
      ...readFileSync(join(root, 'docs/monitoring.md'), 'utf8').matchAll(/`(passmanager_\w+)`/g),
    ].map(([, name]) => name!);
    const own = new Set(
      [...exported]
        .filter((name) => name.startsWith('passmanager_'))
        .map((name) => name.replace(/_(bucket|sum|count)$/, '')),
    );
    // A stream has a place of its own once one was opened.
    for (const name of ['passmanager_rpc_streams_total', 'passmanager_rpc_streams_open']) own.add(name);
    expect(new Set(documented)).to.deep.equal(own);
  });

  it('has labels of bounded sets alone: RPCs, codes, doors, pools, states', () => {
    const account = makeAccount('a name that nobody else has');
    expect(text).to.match(
      /passmanager_rpc_duration_seconds_count\{rpc="UserService\/RegisterUser",outcome="OK"\} 1/,
    );
    expect(text).to.match(/rpc="SessionService\/AuthenticateSession",outcome="RQS01"\} 1/);
    expect(text).not.to.contain('a name that nobody');
    expect(text).not.to.contain(Buffer.from(account.usernameHash).toString('hex').slice(0, 12));
    expect(text).not.to.match(/[0-9a-f]{8}-[0-9a-f]{4}-/);
    expect(text).not.to.contain('127.0.0.1');
  });
});
