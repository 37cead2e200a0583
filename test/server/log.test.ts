import { expect } from 'chai';
import { DatabaseFault } from '../../src/database/sqlstate.ts';
import { createLogger, serializeError } from '../../src/server/log.ts';

describe('the log', () => {
  it('keeps of an error its name, message, codes, stack and cause, and nothing that hangs on it', () => {
    const cause = Object.assign(new Error('duplicate key'), {
      code: '23505',
      detail: 'Key (username_lookup)=(\\x0123) already exists.',
      where: 'a value',
    });
    const kept = JSON.stringify(serializeError(new DatabaseFault('unique', { sqlState: '23505', cause })));
    expect(kept).to.include('DatabaseFault').and.to.include('"code":"23505"').and.to.include('duplicate key');
    expect(kept).not.to.include('0123').and.not.to.include('a value');
  });

  it('writes one JSON object a line, from its level on', () => {
    const lines: string[] = [];
    const log = createLogger('warn', { write: (line) => void lines.push(line) });
    log.info('unheard');
    log.warn({ err: new TypeError('x') }, 'heard');
    expect(lines).to.have.length(1);
    const line = JSON.parse(lines[0]!);
    expect(line).to.deep.include({ level: 40, msg: 'heard' });
    expect(line.err.name).to.equal('TypeError');
    expect(line).not.to.have.any.keys('pid', 'hostname');
  });

  it('says of what is no error only what type it has', () => {
    expect(serializeError('secret')).to.deep.equal({ name: 'string' });
    expect(serializeError(undefined)).to.equal(undefined);
  });
});
