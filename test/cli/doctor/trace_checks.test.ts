import { expect } from 'chai';
import { TRACE_CHECKS } from '../../../src/cli/doctor/trace_checks.ts';
import { look, subjectOf } from '../../support/doctor.ts';
import { freePort } from '../../support/free_port.ts';
import { startTraceCollector } from '../../support/trace_collector.ts';

describe('the check of the trace collector', () => {
  const check = (endpoint: string) =>
    look(TRACE_CHECKS, 'trace_collector', subjectOf({ PASSMANAGER_OTLP_ENDPOINT: endpoint }));

  it('finds one that is away, and shows no password', async () => {
    const found = await check(`http://me:hunter2@127.0.0.1:${await freePort()}`);
    expect(found.state).to.equal('warning');
    expect(JSON.stringify(found)).not.to.contain('hunter2');
  });

  it('finds one that refuses', async () => {
    const collector = await startTraceCollector((response) => response.writeHead(404).end());
    expect(await check(collector.endpoint)).to.include({ state: 'warning' });
    await collector.stop();
  });

  it('finds one that takes traces, and leaves none there', async () => {
    const collector = await startTraceCollector();
    expect(await check(collector.endpoint)).to.include({ state: 'good', advice: '' });
    expect(collector.spans()).to.have.length(0);
    expect(collector.requests).to.have.length(1);
    await collector.stop();
  });

  it('looks at nothing where no call is traced', async () => {
    expect((await check('')).state).to.equal('skipped');
  });
});
