/** Headers of the PROXY protocol, as a proxy writes them. */
import ipaddr from 'ipaddr.js';

/** Version 1: the line for TCP from a client to some address of the same family. */
export function v1Header(client: string): Buffer {
  return Buffer.from(
    client.includes(':')
      ? `PROXY TCP6 ${client} 2001:db8::443 56324 443\r\n`
      : `PROXY TCP4 ${client} 192.0.2.43 56324 443\r\n`,
  );
}

/** Version 2 from its parts: the byte of version and command, that of family and transport, and the rest. */
export function v2Block(command: number, family: number, rest: Uint8Array): Buffer {
  const fixed = Buffer.from('0d0a0d0a000d0a515549540a00000000', 'hex');
  fixed.writeUInt8(command, 12);
  fixed.writeUInt8(family, 13);
  fixed.writeUInt16BE(rest.length, 14);
  return Buffer.concat([fixed, rest]);
}

/** Version 2: TCP from a client to itself, followed by `more`, which is for TLVs. */
export function v2Header(client: string, more: Uint8Array = Buffer.alloc(0)): Buffer {
  const address = Buffer.from(ipaddr.parse(client).toByteArray());
  return v2Block(
    0x21,
    address.length === 4 ? 0x11 : 0x21,
    Buffer.concat([address, address, Buffer.from([0xdc, 0x04, 0x01, 0xbb]), more]),
  );
}
