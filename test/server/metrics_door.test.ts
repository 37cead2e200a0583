import { expect } from 'chai';
import { createMetricsDoor, MAX_CONNECTIONS, type MetricsDoor } from '../../src/server/metrics_door.ts';
import { collectingLog } from '../support/collecting_log.ts';
import { RawPeer } from '../support/raw_peer.ts';
import { rejection } from '../support/rejection.ts';

describe('the listener for metrics', () => {
  let door: MetricsDoor;
  let fails = false;
  const { log, lines } = collectingLog();

  before(async () => {
    const collected = async () => {
      if (fails) throw new Error('the reason');
      return { contentType: 'text/plain', text: 'up 1\n' };
    };
    door = await createMetricsDoor({ host: '127.0.0.1', port: 0 }, { collected }, log);
  });

  after(() => door.stop());

  const get = (path: string, method = 'GET') =>
    fetch(`http://127.0.0.1:${door.address.port}${path}`, { method });

  it('is refused an address that is taken', async () => {
    const taken = createMetricsDoor(
      door.address,
      { collected: async () => ({ contentType: '', text: '' }) },
      log,
    );
    expect((await rejection(taken)).message).to.contain('EADDRINUSE');
  });

  it('answers nothing but GET /metrics', async () => {
    expect((await get('/')).status).to.equal(404);
    expect((await get('/metrics/x')).status).to.equal(404);
    expect((await get('/metrics', 'POST')).status).to.equal(405);
  });

  it('keeps no collector out by connections that say nothing', async () => {
    const peers = await Promise.all(
      Array.from({ length: MAX_CONNECTIONS + 4 }, () => RawPeer.connect(door.address.port)),
    );
    for (const peer of peers) peer.write('GET /metrics HTTP/1.1\r\n');
    const collector = await RawPeer.connect(door.address.port);
    collector.write('GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n');
    expect(await collector.receive(/up 1/)).to.contain(' 200 ');
    for (const peer of [...peers, collector]) peer.destroy();
  });

  it('answers 500 without the reason when metrics cannot be collected, and logs it', async () => {
    fails = true;
    const response = await get('/metrics');
    expect([response.status, await response.text()]).to.deep.equal([500, '']);
    expect(lines.join()).to.contain('the reason');
    fails = false;
  });

  it('answers what was collected, whatever is asked behind it', async () => {
    const response = await get('/metrics?name[]=x');
    expect([response.status, await response.text()]).to.deep.equal([200, 'up 1\n']);
  });
});
