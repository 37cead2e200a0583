import { expect } from 'chai';
import * as kinds from '../../src/server/setting_values.ts';

const refusal = ({ parse }: kinds.ValueKind<unknown>, text: string): unknown => {
  try {
    return parse(text);
  } catch (error) {
    return error;
  }
};

describe('the values of settings', () => {
  for (const [name, kind, taken, refused] of [
    ['a number', kinds.integer(0, 10), { '0': 0, '10': 10, '007': 7 }, ['', '11', '-1', '1.5', '1e1', ' 1']],
    ['a word', kinds.oneOf('open', 'closed'), { open: 'open' }, ['', 'Open', 'open,closed']],
    ['a switch', kinds.onOff, { on: true, off: false }, ['', 'true', 'ON']],
    ['a path', kinds.path, { './data': './data' }, []],
    ['a ratio', kinds.ratio, { '0': 0, '0.25': 0.25, '1': 1 }, ['', '1.1', '-0.1', '.5', '50%']],
    [
      'an address',
      kinds.hostAndPort,
      {
        '127.0.0.1:9464': { host: '127.0.0.1', port: 9464 },
        '[::1]:0': { host: '::1', port: 0 },
        'localhost:80': { host: 'localhost', port: 80 },
      },
      ['', '127.0.0.1', '::1:80', 'example.org:80', '127.0.0.1:65536'],
    ],
    [
      'a list of networks',
      kinds.networks,
      { '10.0.0.0/8, ::1': ['10.0.0.0/8', '::1'] },
      ['', '10.0.0.0/33', 'proxy', '::1,'],
    ],
    [
      'the address of a service',
      kinds.httpUrl,
      { 'https://a:b@collector:4318/x//': 'https://a:b@collector:4318/x' },
      ['', 'grpc://h', 'http://h/?q', 'http://h/#f'],
    ],
  ] as const) {
    it(`are for ${name} what is allowed, and nothing else`, () => {
      for (const [text, value] of Object.entries(taken)) {
        expect(kind.parse(text), text).to.deep.equal(value);
      }
      for (const text of refused) {
        expect(refusal(kind, text), text)
          .to.be.instanceOf(kinds.RefusedValue)
          .and.to.have.property('message', kind.allowed);
      }
    });
  }

  it('know the URL of a PostgreSQL', () => {
    for (const text of ['postgres://h/d', 'postgresql:///d?host=/tmp']) {
      expect([kinds.isPostgresUrl(text), kinds.databaseUrl.parse(text)]).to.deep.equal([true, text]);
    }
    for (const text of ['', 'embedded', 'http://postgres', 'mysql://h/d']) {
      expect(kinds.isPostgresUrl(text)).to.equal(false);
      expect(refusal(kinds.databaseUrl, text)).to.be.instanceOf(kinds.RefusedValue);
    }
  });
});
