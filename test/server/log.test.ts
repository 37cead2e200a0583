import { expect } from 'chai';
import { DatabaseFault } from '../../src/database/sqlstate.ts';
import { createLogger, serializeError } from '../../src/server/log.ts';

function collecting(level: 'debug' | 'warn' = 'debug') {
  const lines: string[] = [];
  return { lines, log: createLogger(level, { write: (line) => void lines.push(line) }) };
}

describe('the log', () => {
  it('writes no field that it does not know, and says which it left out', () => {
    const { log, lines } = collecting();
    const careless: object = { rpc: '/a/B', password: 'hunter2', user: { name: 'hunter2' } };
    log.info(careless, 'a line');
    expect(lines.join('')).not.to.include('hunter2');
    expect(JSON.parse(lines[0]!)).to.deep.include({ rpc: '/a/B', dropped: ['password', 'user'] });
  });

  it('writes no bytes and no objects under a name that it knows', () => {
    const { log, lines } = collecting();
    const careless: object = {
      failure: Buffer.from('hunter2'),
      rpc: { path: 'hunter2' },
      requestId: ['hunter2'],
    };
    log.info(careless, 'a line');
    const line = JSON.parse(lines[0]!);
    expect(line).to.have.all.keys('level', 'time', 'msg', 'dropped');
    expect(line.dropped).to.deep.equal(['failure', 'rpc', 'requestId']);
  });

  it('keeps of an error its name, message, codes, stack and cause, and nothing that hangs on it', () => {
    const cause = Object.assign(new Error('duplicate key'), {
      code: '23505',
      detail: 'Key (username_lookup)=(\\x0123) already exists.',
      where: 'a value',
    });
    const kept = JSON.stringify(serializeError(new DatabaseFault('unique', { sqlState: '23505', cause })));
    expect(kept).to.include('DatabaseFault').and.to.include('"code":"23505"').and.to.include('duplicate key');
    expect(kept).to.include('log.test.ts');
    expect(kept).not.to.include('0123').and.not.to.include('a value');
  });

  it('leaves out the message of an error that quotes a value of a row', () => {
    const cause = Object.assign(new Error('invalid input syntax for type bigint: "hunter2"'), {
      code: '22P02',
    });
    const kept = JSON.stringify(
      serializeError(new DatabaseFault('unexpected', { sqlState: '22P02', cause })),
    );
    expect(kept).to.include('22P02').and.to.include('log.test.ts').and.not.to.include('hunter2');
  });

  it('keeps every error of several, and ends where causes go round', () => {
    const both = new AggregateError([new Error('by IPv4'), new Error('by IPv6')], '');
    expect(JSON.stringify(serializeError(both)))
      .to.include('by IPv4')
      .and.to.include('by IPv6');
    const round = new Error('round');
    round.cause = round;
    expect(JSON.stringify(serializeError(round)).split('"message"').length).to.equal(7);
  });

  it('says of what is no error only what type it has', () => {
    expect(serializeError('secret')).to.deep.equal({ name: 'string' });
    expect(serializeError(undefined)).to.equal(undefined);
  });

  it('writes one JSON object a line, from its level on', () => {
    const { log, lines } = collecting('warn');
    log.info('unheard');
    log.warn({ err: new TypeError('x') }, 'heard');
    expect(lines).to.have.length(1);
    const line = JSON.parse(lines[0]!);
    expect(line).to.deep.include({ level: 40, msg: 'heard' });
    expect(line.err.name).to.equal('TypeError');
    expect(line).not.to.have.any.keys('pid', 'hostname');
  });
});
