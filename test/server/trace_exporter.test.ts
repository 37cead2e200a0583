import { expect } from 'chai';
import { TraceExporter } from '../../src/server/trace_exporter.ts';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free_port.ts';
import { startTraceCollector, type TraceCollector } from '../support/trace_collector.ts';

describe('the exporter of traces', () => {
  const collectors: TraceCollector[] = [];
  const start = async (...parameters: Parameters<typeof startTraceCollector>) => {
    const collector = await startTraceCollector(...parameters);
    collectors.push(collector);
    return collector;
  };

  afterEach(async () => {
    for (const collector of collectors.splice(0)) await collector.stop();
  });

  it('tells that nobody is there, and who refuses', async () => {
    expect(await new TraceExporter(`http://127.0.0.1:${await freePort()}`).probe()).to.be.instanceOf(Error);
    const { endpoint } = await start((response) => response.writeHead(401).end());
    expect(await new TraceExporter(endpoint).probe()).to.be.instanceOf(Error);
  });

  it('cuts what is under way when it is told to, and opens no connection after that', async () => {
    const silent = await start(() => {});
    const exporter = new TraceExporter(silent.endpoint);
    void exporter.probe();
    await eventually(() => silent.requests.length === 1);
    exporter.cut();
    void exporter.probe();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(silent.requests).to.have.length(1);
  });

  it('tells of every delivery what came of it', async () => {
    let status = 400;
    const { endpoint } = await start((response) => response.writeHead(status).end());
    const told: boolean[] = [];
    const exporter = new TraceExporter(endpoint, (error) => told.push(error === undefined));
    const deliver = () => new Promise((resolve) => exporter.export([], resolve));
    expect(await deliver()).to.include({ code: 1 });
    status = 200;
    expect(await deliver()).to.include({ code: 0 });
    expect(told).to.deep.equal([false, true]);
    await exporter.shutdown();
    exporter.cut();
  });

  it('delivers below the path of the endpoint, with its name and password, in protobuf', async () => {
    const collector = await start();
    const exporter = new TraceExporter(`${collector.endpoint.replace('//', '//me:p%40ss@')}/otlp`, () => {});
    expect(await exporter.probe()).to.equal(undefined);
    const [request] = collector.requests;
    expect(request!.path).to.equal('/otlp/v1/traces');
    expect(request!.headers).to.include({
      authorization: `Basic ${btoa('me:p@ss')}`,
      'content-type': 'application/x-protobuf',
    });
    exporter.cut();
  });
});
