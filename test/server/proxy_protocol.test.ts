import { expect } from 'chai';
import fc from 'fast-check';
import { LOCAL_HEADER, LONGEST_V2, parseProxyHeader } from '../../src/server/proxy_protocol.ts';
import { v1Header, v2Block, v2Header } from '../support/proxy_headers.ts';

const text = (line: string) => parseProxyHeader(Buffer.from(line, 'latin1'));
const TCP4_BYTES = Buffer.from('c6336401c0000201dc0401bb', 'hex');

describe('a header of the PROXY protocol', () => {
  it('is none in what begins otherwise, from its first wrong byte on', () => {
    for (const beginning of [
      'G',
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
      'POST / HTTP/1.1\r\n',
      '\x16\x03\x01',
      '\r\n\r\n\0\r\nQUITX',
      '\r\nGET',
      'proxy TCP4',
      ' PROXY TCP4',
      'PROXY\tTCP4',
      'PROXYTCP4',
      '\0',
    ])
      expect(text(beginning), JSON.stringify(beginning)).to.equal('malformed');
  });

  it('of version 1 is malformed when it is not the line to the letter', () => {
    for (const line of [
      'PROXY \r\n',
      'PROXY\r\n',
      'PROXY TCP4\r\n',
      'PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n',
      'PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n',
      'PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n',
      'PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n',
      'PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n',
      'PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n',
      'PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n',
      'PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n',
      'PROXY TCP4 192.0.2.1 192.0.2.2 99999 2\r\n',
      'PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n',
      'PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n',
      'PROXY TCP4 192.0.2.1 192.0.2.2 1 \r\n',
      'PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n',
      'PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n',
      'PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n',
      'PROXY TCP4 0xc0000201 192.0.2.2 1 2\r\n',
      'PROXY TCP4 192.0.2.1 localhost 1 2\r\n',
      'PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n',
      'PROXY TCP4 192.0.2.1 2001:db8::2 1 2\r\n',
      'PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n',
      'PROXY TCP6 2001:db8::1 192.0.2.2 1 2\r\n',
      'PROXY TCP6 2001:db8:::1 2001:db8::2 1 2\r\n',
      'PROXY TCP6 [2001:db8::1] 2001:db8::2 1 2\r\n',
      'PROXY TCP6 fe80::1%eth0 2001:db8::2 1 2\r\n',
      'PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n',
      'PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\r\n',
      'PROXY TCP4 192.0.2.1\0 192.0.2.2 1 2\r\n',
      'PROXY UNKNOWNS\r\n',
      'PROXY UNKNOWN\n',
      'PROXY UNKNOWN a\rb\r\n',
      'PROXY unknown\r\n',
    ])
      expect(text(line), JSON.stringify(line)).to.equal('malformed');
  });

  it('of version 1 is malformed when 107 bytes have no end of the line', () => {
    const endless = `PROXY UNKNOWN ${'f'.repeat(200)}\r\n`;
    expect(text(endless.slice(0, 106))).to.equal('incomplete');
    expect(text(endless.slice(0, 107))).to.equal('malformed');
    expect(text(endless)).to.equal('malformed');
    // One byte longer than the longest.
    expect(text(`PROXY UNKNOWN ${'f'.repeat(92)}\r\n`)).to.equal('malformed');
  });

  it('of version 2 is malformed with another version, command, family or transport', () => {
    for (const command of Array.from({ length: 256 }, (_, index) => index)) {
      const expected = command === 0x20 || command === 0x21 ? 'object' : 'string';
      expect(typeof parseProxyHeader(v2Block(command, 0x11, TCP4_BYTES)), `${command}`).to.equal(expected);
    }
    const long = Buffer.alloc(216);
    for (const family of Array.from({ length: 256 }, (_, index) => index)) {
      const expected = family >> 4 <= 3 && (family & 15) <= 2 ? 'object' : 'string';
      expect(typeof parseProxyHeader(v2Block(0x21, family, long)), `${family}`).to.equal(expected);
    }
  });

  it('of version 2 is malformed when it is shorter than its addresses or too long', () => {
    for (const length of [0, 4, 8, 11])
      expect(parseProxyHeader(v2Block(0x21, 0x11, TCP4_BYTES.subarray(0, length)))).to.equal('malformed');
    for (const length of [0, 12, 16, 35])
      expect(parseProxyHeader(v2Block(0x21, 0x21, Buffer.alloc(length)))).to.equal('malformed');
    // Refused by what it announces, before it has arrived.
    const announced = v2Block(0x20, 0, Buffer.alloc(LONGEST_V2 - 16 + 1)).subarray(0, 16);
    expect(parseProxyHeader(announced)).to.equal('malformed');
    expect(parseProxyHeader(v2Block(0x20, 0, Buffer.alloc(LONGEST_V2 - 16)))).to.include({
      bytes: LONGEST_V2,
    });
  });

  it('throws nothing and takes no more than there is, whatever the bytes', () => {
    const begun = fc.constantFrom(
      Buffer.alloc(0),
      Buffer.from('PROXY '),
      Buffer.from('PROXY TCP4 '),
      LOCAL_HEADER.subarray(0, 12),
      LOCAL_HEADER.subarray(0, 14),
    );
    fc.assert(
      fc.property(begun, fc.uint8Array({ maxLength: 300 }), (beginning, rest) => {
        const received = Buffer.concat([beginning, rest]);
        const header = parseProxyHeader(received);
        if (typeof header === 'object') expect(header.bytes).to.be.within(1, received.length);
      }),
    );
  });

  it('tells the client by the examples of its specification', () => {
    const line = 'PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n';
    expect(text(`${line}GET / HTTP/1.1\r\nHost: 192.168.0.11\r\n\r\n`)).to.deep.equal({
      bytes: line.length,
      client: '192.168.0.1',
    });
    for (const [longest, length, client] of [
      ['PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n', 56, '255.255.255.255'],
      [
        `PROXY TCP6 ${Array(8).fill('ffff').join(':')} ${Array(8).fill('FFFF').join(':')} 65535 65535\r\n`,
        104,
        Array(8).fill('ffff').join(':'),
      ],
      ['PROXY UNKNOWN\r\n', 15, undefined],
      [
        `PROXY UNKNOWN ${Array(8).fill('ffff').join(':')} ${Array(8).fill('ffff').join(':')} 65535 65535\r\n`,
        107,
        undefined,
      ],
    ] as const)
      expect(text(longest), longest).to.deep.equal({ bytes: length, client });
  });

  it('tells no client where the proxy speaks for itself or tells something else than TCP', () => {
    for (const header of [
      LOCAL_HEADER,
      v2Block(0x20, 0x11, TCP4_BYTES),
      v2Block(0x20, 0xff, Buffer.alloc(3)),
      v2Block(0x21, 0x00, Buffer.alloc(0)),
      v2Block(0x21, 0x00, TCP4_BYTES),
      v2Block(0x21, 0x10, TCP4_BYTES),
      v2Block(0x21, 0x12, TCP4_BYTES),
      v2Block(0x21, 0x22, Buffer.alloc(36)),
      v2Block(0x21, 0x31, Buffer.alloc(216)),
    ])
      expect(parseProxyHeader(header)).to.deep.equal({ bytes: header.length, client: undefined });
  });

  it('has IPv4 inside IPv6 as IPv4, and IPv6 in its short form', () => {
    for (const [written, client] of [
      ['::ffff:198.51.100.1', '198.51.100.1'],
      ['::ffff:c633:6401', '198.51.100.1'],
      ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ] as const) {
      for (const header of [v1Header(written), v2Header(written)])
        expect(parseProxyHeader(header), written).to.include({ client });
    }
  });

  it('says the same however much of the connection comes behind it, and nothing before it is whole', () => {
    const address = fc.oneof(fc.ipV4(), fc.ipV6());
    const header = fc.oneof(
      address.map((client) => v1Header(client)),
      fc
        .tuple(address, fc.uint8Array({ maxLength: 64 }))
        .map(([client, more]) => v2Header(client, Buffer.from(more))),
      fc.constant(LOCAL_HEADER),
      fc.constant(Buffer.from('PROXY UNKNOWN\r\n')),
    );
    fc.assert(
      fc.property(header, fc.uint8Array({ maxLength: 64 }), (whole, rest) => {
        const alone = parseProxyHeader(whole);
        expect(alone).to.include({ bytes: whole.length });
        expect(parseProxyHeader(Buffer.concat([whole, rest]))).to.deep.equal(alone);
        for (let length = 0; length < whole.length; length += 1)
          expect(parseProxyHeader(whole.subarray(0, length))).to.equal('incomplete');
      }),
    );
  });
});
