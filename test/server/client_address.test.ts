import { expect } from 'chai';
import {
  ClientAddresses,
  clientAddressesOf,
  NO_PROXIES,
  networkOf,
  type ProxyHeader,
  parseNetwork,
  plainAddress,
} from '../../src/server/client_address.ts';

const trusting = (header: ProxyHeader, ...networks: string[]) =>
  new ClientAddresses(
    networks.map((network) => parseNetwork(network)!),
    header,
  );

const clientOf = (clients: ClientAddresses, peer: string, headers: Partial<Record<ProxyHeader, string>>) =>
  clients.clientOf(peer, (name) => headers[name]);

describe('the address of a client', () => {
  const proxies = trusting('x-forwarded-for', '10.0.0.0/8', 'fd00::/8', '192.0.2.7');

  it('is the peer’s, whatever its headers say, when nobody or somebody else is trusted', () => {
    const headers = { 'x-forwarded-for': '198.51.100.1', forwarded: 'for=198.51.100.1' };
    expect(clientOf(NO_PROXIES, '203.0.113.9', headers)).to.equal('203.0.113.9');
    for (const peer of ['203.0.113.9', '11.0.0.1', '192.0.2.8', '2001:db8::1', 'unknown', ''])
      expect(clientOf(proxies, peer, headers)).to.equal(peer);
  });

  it('is never what stands before somebody who is not trusted', () => {
    for (const [header, client] of [
      ['127.0.0.1, 198.51.100.1', '198.51.100.1'],
      ['10.0.0.1, 198.51.100.1', '198.51.100.1'],
      ['198.51.100.66, 198.51.100.1, 10.1.1.1', '198.51.100.1'],
      ['1.1.1.1, nonsense, 10.1.1.1', '10.1.1.1'],
      ['1.1.1.1, 10.0.0.1 10.0.0.2', '10.9.9.9'],
      ['nonsense', '10.9.9.9'],
      ['', '10.9.9.9'],
      [', ,', '10.9.9.9'],
      ['198.51.100.1, 0x0a.1', '10.9.9.9'],
      ['198.51.100.1, 167772161', '10.9.9.9'],
      [`198.51.100.1${', 10.0.0.1'.repeat(16)}`, '10.0.0.1'],
    ] as const)
      expect(clientOf(proxies, '10.9.9.9', { 'x-forwarded-for': header }), header).to.equal(client);
  });

  it('is not taken from the other header than the one that the proxies write', () => {
    expect(clientOf(proxies, '10.9.9.9', { forwarded: 'for=198.51.100.1' })).to.equal('10.9.9.9');
    const rfc = trusting('forwarded', '10.0.0.0/8');
    expect(clientOf(rfc, '10.9.9.9', { 'x-forwarded-for': '198.51.100.1' })).to.equal('10.9.9.9');
  });

  it('is not taken from any header of HTTP where the proxies speak the PROXY protocol', () => {
    const announced = trusting('proxy-protocol', '10.0.0.0/8');
    const headers = { 'x-forwarded-for': '198.51.100.1', forwarded: 'for=198.51.100.1' };
    for (const peer of ['10.9.9.9', '203.0.113.9']) expect(clientOf(announced, peer, headers)).to.equal(peer);
  });

  it('is told by the PROXY protocol by trusted proxies alone, and only where they are to speak it', () => {
    const announced = trusting('proxy-protocol', '10.0.0.0/8', 'fd00::/8');
    for (const peer of ['203.0.113.9', '2001:db8::1', '::ffff:203.0.113.9', 'unknown', ''])
      expect(announced.mustAnnounce(peer), peer).to.equal(false);
    for (const peer of ['10.9.9.9', '::ffff:10.9.9.9', 'fd12::1'])
      expect(announced.mustAnnounce(peer), peer).to.equal(true);
    expect(proxies.mustAnnounce('10.9.9.9')).to.equal(false);
    expect(trusting('proxy-protocol').mustAnnounce('10.9.9.9')).to.equal(false);
  });

  it('is read of Forwarded as RFC 7239 writes it, and not at all when that is malformed', () => {
    const rfc = trusting('forwarded', '10.0.0.0/8', 'fd00::/8');
    for (const [header, client] of [
      ['for=198.51.100.1', '198.51.100.1'],
      ['for=1.1.1.1, for=198.51.100.1;proto=https;by=10.0.0.1', '198.51.100.1'],
      ['for="198.51.100.1:4711"', '198.51.100.1'],
      ['For="[2001:db8:cafe::17]:4711"', '2001:db8:cafe::17'],
      ['for=198.51.100.1, for=10.1.1.1', '198.51.100.1'],
      ['for=_hidden', '10.9.9.9'],
      ['for=unknown, for=10.1.1.1', '10.1.1.1'],
      ['for=198.51.100.1, for="unclosed', '10.9.9.9'],
      ['proto=https', '10.9.9.9'],
    ] as const)
      expect(clientOf(rfc, '10.9.9.9', { forwarded: header }), header).to.equal(client);
  });

  it('is the first one that is not a proxy, through any number of proxies, of either family', () => {
    for (const [peer, header, client] of [
      ['10.9.9.9', '198.51.100.1', '198.51.100.1'],
      ['192.0.2.7', '198.51.100.1:55', '198.51.100.1'],
      ['fd12::1', '2001:db8::5, 10.0.0.3, fd00::4', '2001:db8::5'],
      ['10.9.9.9', '[2001:db8::5]:443', '2001:db8::5'],
      ['10.9.9.9', '::ffff:198.51.100.1', '198.51.100.1'],
      ['::ffff:10.9.9.9', '198.51.100.1', '198.51.100.1'],
      ['10.9.9.9', '10.0.0.5, 10.0.0.6', '10.0.0.5'],
    ] as const)
      expect(clientOf(proxies, peer, { 'x-forwarded-for': header }), header).to.equal(client);
  });

  it('belongs to a network: itself in IPv4, its /64 in IPv6', () => {
    expect(networkOf('198.51.100.1')).to.equal('198.51.100.1');
    expect(networkOf('::ffff:198.51.100.1')).to.equal('198.51.100.1');
    expect(networkOf('2001:db8:1:2::1')).to.equal(networkOf('2001:db8:1:2:ffff:ffff:ffff:ffff'));
    expect(networkOf('2001:db8:1:2::1')).not.to.equal(networkOf('2001:db8:1:3::1'));
    expect(networkOf('fe80::1%eth0')).to.equal(networkOf('fe80::2'));
    expect(networkOf('unknown')).to.equal('unknown');
  });

  it('is written in one way only', () => {
    for (const [text, plain] of [
      ['198.51.100.1', '198.51.100.1'],
      ['::ffff:198.51.100.1', '198.51.100.1'],
      ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
      ['198.51.1', undefined],
      ['nonsense', undefined],
    ] as const)
      expect(plainAddress(text), text).to.equal(plain);
  });

  it('is told by the proxies of a configuration', () => {
    const configured = clientAddressesOf({
      trustedProxies: ['10.0.0.0/8', 'fd00::1'],
      proxyHeader: 'forwarded',
    });
    expect(clientOf(configured, '10.9.9.9', { forwarded: 'for=198.51.100.1' })).to.equal('198.51.100.1');
    expect(configured.isTrusted('fd00::2')).to.equal(false);
  });

  it('is of a network that is written in CIDR notation or as one address', () => {
    for (const text of ['10.0.0.0/8', '192.0.2.7', 'fd00::/8', '::1'])
      expect(parseNetwork(text)).not.to.equal(undefined);
    for (const text of ['', '10.0.0.0/33', '10.0.0/8x', 'example.org', '10.0.0.0/8/8', '*'])
      expect(parseNetwork(text), text).to.equal(undefined);
  });
});
