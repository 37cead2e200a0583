import { create, toBinary } from '@bufbuild/protobuf';
import { expect } from 'chai';
import { reflectionContract } from '../../src/server/reflection_contract.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

// Field numbers as published in the gRPC server reflection protocol.
describe('reflectionContract', () => {
  for (const version of ['v1', 'v1alpha'] as const) {
    const { file, service, request, response } = reflectionContract(version);

    it(`names one bidirectional method in grpc.reflection.${version}`, () => {
      expect(file.proto.name).to.equal(`grpc/reflection/${version}/reflection.proto`);
      expect(service.typeName).to.equal(`grpc.reflection.${version}.ServerReflection`);
      expect(service.methods.map(({ name, methodKind }) => [name, methodKind])).to.deep.equal([
        ['ServerReflectionInfo', 'bidi_streaming'],
      ]);
    });

    it(`encodes each question of ${version} under its number`, () => {
      for (const [question, encoded] of [
        [{ case: 'fileByFilename', value: 'a' }, '1a0161'],
        [{ case: 'fileContainingSymbol', value: 'a' }, '220161'],
        [
          { case: 'fileContainingExtension', value: { containingType: 'a', extensionNumber: 5 } },
          '2a050a01611005',
        ],
        [{ case: 'allExtensionNumbersOfType', value: 'a' }, '320161'],
        [{ case: 'listServices', value: 'a' }, '3a0161'],
      ] as const) {
        expect(hex(toBinary(request, create(request, { messageRequest: question }))), question.case).to.equal(
          encoded,
        );
      }
      expect(hex(toBinary(request, create(request, { host: 'h' })))).to.equal('0a0168');
    });

    it(`encodes each answer of ${version} under its number`, () => {
      for (const [answer, encoded] of [
        [
          { case: 'fileDescriptorResponse', value: { fileDescriptorProto: [Uint8Array.of(7)] } },
          '22030a0107',
        ],
        [
          { case: 'allExtensionNumbersResponse', value: { baseTypeName: 'a', extensionNumber: [1, 2] } },
          '2a070a016112020102',
        ],
        [{ case: 'listServicesResponse', value: { service: [{ name: 'a' }] } }, '32050a030a0161'],
        [{ case: 'errorResponse', value: { errorCode: 5, errorMessage: 'a' } }, '3a050805120161'],
      ] as const) {
        expect(hex(toBinary(response, create(response, { messageResponse: answer }))), answer.case).to.equal(
          encoded,
        );
      }
      expect(hex(toBinary(response, create(response, { validHost: 'h', originalRequest: {} })))).to.equal(
        '0a01681200',
      );
    });
  }
});
