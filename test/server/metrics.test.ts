import { expect } from 'chai';
import * as client from 'prom-client';
import { type MetricSources, Metrics } from '../../src/server/metrics.ts';

const sources: MetricSources = {
  version: '1.2.3',
  doors: () => ({
    grpc: { connections: 2, bodyBytes: 3, refusedHeaders: 0 },
    http: { connections: 4, bodyBytes: 5, refusedHeaders: 6 },
  }),
  pools: () => ({ writes: { busy: 1, idle: 2, waiting: 3 }, reads: { busy: 4, idle: 5, waiting: 6 } }),
  faults: () =>
    new Map([
      ['full', 11],
      ['lost', 0],
    ]),
  databaseBytes: async () => 12,
  srp: () => ({ queued: 7, busy: 1, threads: 2, most: 4 }),
  watchers: () => 8,
  degradedSessions: () => 9,
  isReady: () => true,
  sessions: async () => 10,
  backups: undefined,
};

describe('the metrics', () => {
  it('do without sessions while the database does not answer, and without backups where none are scheduled', async () => {
    const metrics = new Metrics(client, {
      ...sources,
      isReady: () => false,
      sessions: () => Promise.reject(new Error()),
      databaseBytes: () => Promise.reject(new Error()),
    });
    const { text } = await metrics.collected();
    expect(text).to.contain('passmanager_ready 0');
    expect(text).not.to.match(/^passmanager_backup/m);
  });

  it('are those of their sources at the time they are collected', async () => {
    const metrics = new Metrics(client, {
      ...sources,
      backups: () => ({
        last: { at: new Date(1_000), ok: false, bytes: 0, milliseconds: 1_500 },
        newestAt: new Date(2_000),
      }),
    });
    metrics.ended('/passmanager.data.v1.DataService/GetEntry', 0.003, 'OK');
    metrics.streamOpened('/passmanager.data.v1.DataService/WatchEntries');
    // A second time: nothing is counted twice.
    await metrics.collected();
    const { text, contentType } = await metrics.collected();
    expect(contentType).to.contain('text/plain');
    for (const line of [
      `passmanager_build_info{version="1.2.3",node="${process.versions.node}"} 1`,
      'passmanager_connections_open{door="http"} 4',
      'passmanager_request_body_bytes{door="grpc"} 3',
      'passmanager_proxy_headers_refused_total{door="grpc"} 0',
      'passmanager_proxy_headers_refused_total{door="http"} 6',
      'passmanager_database_connections{pool="reads",state="waiting"} 6',
      'passmanager_database_faults_total{kind="full"} 11',
      'passmanager_database_faults_total{kind="lost"} 0',
      'passmanager_database_bytes 12',
      'passmanager_login_queue_length 7',
      'passmanager_login_threads{state="idle"} 1',
      'passmanager_login_threads{state="most"} 4',
      'passmanager_watches_open 8',
      'passmanager_degraded_sessions 9',
      'passmanager_sessions 10',
      'passmanager_backup_newest_timestamp_seconds 2',
      'passmanager_backup_failed 1',
      'passmanager_backup_duration_seconds 1.5',
      'passmanager_rpc_duration_seconds_bucket{le="0.005",rpc="DataService/GetEntry",outcome="OK"} 1',
      'passmanager_rpc_duration_seconds_bucket{le="0.002",rpc="DataService/GetEntry",outcome="OK"} 0',
      'passmanager_rpc_streams_open{rpc="DataService/WatchEntries"} 1',
    ])
      expect(text.split('\n'), line).to.include(line);
    metrics.streamEnded('/passmanager.data.v1.DataService/WatchEntries', 'SVR01');
    expect((await metrics.collected()).text)
      .to.contain('passmanager_rpc_streams_open{rpc="DataService/WatchEntries"} 0')
      .and.to.contain('passmanager_rpc_streams_total{rpc="DataService/WatchEntries",outcome="SVR01"} 1');
  });
});
