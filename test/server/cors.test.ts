import { expect } from 'chai';
import { createCors } from '../../src/server/cors.ts';

const origin = 'https://vault.example.org';
const preflight = { origin, 'access-control-request-method': 'POST' };

describe('createCors', () => {
  it('allows nothing when no origin is named', () => {
    const cors = createCors([]);
    expect(cors.responseHeaders({ origin })).to.deep.equal({});
    expect(cors.preflightHeaders(preflight)).to.equal(undefined);
  });

  it('allows no origin that only resembles a named one', () => {
    const cors = createCors([origin]);
    for (const other of [
      'http://vault.example.org',
      'https://vault.example.org:8443',
      'https://vault.example.org.evil.example',
      'https://evil.example',
      'https://VAULT.example.org',
      'null',
      '*',
      '',
    ]) {
      expect(cors.responseHeaders({ origin: other }), other).to.not.have.property(
        'access-control-allow-origin',
      );
      expect(cors.preflightHeaders({ ...preflight, origin: other }), other).to.equal(undefined);
    }
  });

  it('refuses a preflight without origin, without method, or for another method than POST', () => {
    const cors = createCors([origin]);
    expect(cors.preflightHeaders({ 'access-control-request-method': 'POST' })).to.equal(undefined);
    expect(cors.preflightHeaders({ origin })).to.equal(undefined);
    expect(cors.preflightHeaders({ origin, 'access-control-request-method': 'GET' })).to.equal(undefined);
  });

  it('never allows credentials or every origin', () => {
    const headers = {
      ...createCors([origin]).preflightHeaders(preflight),
      ...createCors([origin]).responseHeaders({ origin }),
    };
    expect(headers).to.not.have.property('access-control-allow-credentials');
    expect(headers['access-control-allow-origin']).to.equal(origin);
  });

  it('tells caches that the answer depends on the origin, to any origin', () => {
    const cors = createCors([origin]);
    expect(cors.responseHeaders({}).vary).to.equal('Origin');
    expect(cors.responseHeaders({ origin: 'https://evil.example' }).vary).to.equal('Origin');
  });

  it('lets a named origin send what Connect and gRPC-Web need, and read the status', () => {
    const cors = createCors(['https://other.example', origin]);
    const allowed = cors.preflightHeaders(preflight)!['access-control-allow-headers']!.toLowerCase();
    for (const name of [
      'content-type',
      'connect-protocol-version',
      'connect-timeout-ms',
      'x-grpc-web',
      'grpc-timeout',
    ]) {
      expect(allowed).to.include(name);
    }
    const exposed = cors.responseHeaders({ origin })['access-control-expose-headers']!.toLowerCase();
    for (const name of ['grpc-status', 'grpc-message', 'grpc-status-details-bin'])
      expect(exposed).to.include(name);
  });
});
