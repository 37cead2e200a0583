import { create, toBinary, toJson } from '@bufbuild/protobuf';
import { expect } from 'chai';
import {
  HealthCheckRequestSchema,
  HealthCheckResponseSchema,
  HealthService,
  ServingStatus,
} from '../../src/server/health_contract.ts';

// Field numbers and enum values as published in the gRPC health checking protocol.
describe('the descriptors of grpc.health.v1', () => {
  it('encode a request as field 1, a string', () => {
    const bytes = toBinary(HealthCheckRequestSchema, create(HealthCheckRequestSchema, { service: 'a.B' }));
    expect(Buffer.from(bytes).toString('hex')).to.equal('0a03612e42');
  });

  it('encode a response as field 1, an enum', () => {
    const response = create(HealthCheckResponseSchema, { status: ServingStatus.NOT_SERVING });
    expect(Buffer.from(toBinary(HealthCheckResponseSchema, response)).toString('hex')).to.equal('0802');
    expect(toJson(HealthCheckResponseSchema, response)).to.deep.equal({ status: 'NOT_SERVING' });
  });

  it('number the statuses as published', () => {
    expect(ServingStatus).to.deep.equal({ UNKNOWN: 0, SERVING: 1, NOT_SERVING: 2, SERVICE_UNKNOWN: 3 });
  });

  it('name a unary Check and a server-streaming Watch', () => {
    expect(HealthService.typeName).to.equal('grpc.health.v1.Health');
    expect(HealthService.methods.map(({ name, methodKind }) => [name, methodKind])).to.deep.equal([
      ['Check', 'unary'],
      ['Watch', 'server_streaming'],
    ]);
  });
});
