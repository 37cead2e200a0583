import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:http2';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { create, fromBinary, type Message, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { Client, credentials, type ServiceError, status } from '@grpc/grpc-js';
import { expect } from 'chai';
import { file_passmanager_common_v1_access } from '../../gen/passmanager/common/v1/access_pb.ts';
import { DataService } from '../../gen/passmanager/data/v1/data_service_pb.ts';
import { NO_PROXIES } from '../../src/server/client_address.ts';
import { DEFAULT_DOOR_LIMITS, type Door } from '../../src/server/door.ts';
import { createGrpcDoor } from '../../src/server/grpc_door.ts';
import { DescriptorIndex } from '../../src/server/reflection.ts';
import { type ReflectionAnswer, reflectionContract } from '../../src/server/reflection_contract.ts';
import { collectingLog } from '../support/collecting_log.ts';
import { FakeReadiness, fakeRpcs } from '../support/fake_rpcs.ts';

const run = promisify(execFile);
const buf = join(import.meta.dirname, '../../node_modules/.bin/buf');

describe('DescriptorIndex', () => {
  const index = new DescriptorIndex([DataService.file]);

  function fileNames(answer: ReflectionAnswer): string[] {
    if (answer.case !== 'fileDescriptorResponse') throw new Error(`not files: ${answer.case}`);
    return answer.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes).name);
  }

  it('answers what it does not know with NOT_FOUND, without repeating it', () => {
    for (const question of [
      { case: 'fileByFilename', value: 'nobody.proto' },
      { case: 'fileContainingSymbol', value: 'nobody.Nothing' },
      { case: 'fileContainingExtension', value: { containingType: 'nobody.Nothing', extensionNumber: 1 } },
      { case: 'allExtensionNumbersOfType', value: 'nobody.Nothing' },
    ] as const) {
      const answer = index.answer(question);
      expect(answer, question.case).to.deep.equal({
        case: 'errorResponse',
        value: { errorCode: status.NOT_FOUND, errorMessage: 'not found' },
      });
    }
  });

  it('answers an empty question with INVALID_ARGUMENT', () => {
    expect(index.answer({ case: undefined }).value).to.have.property('errorCode', status.INVALID_ARGUMENT);
  });

  it('finds a file by its name and by every kind of symbol in it, with all that it imports', () => {
    for (const question of [
      { case: 'fileByFilename', value: 'passmanager/data/v1/data_service.proto' },
      { case: 'fileContainingSymbol', value: 'passmanager.data.v1.DataService' },
      { case: 'fileContainingSymbol', value: 'passmanager.data.v1.DataService.GetEntry' },
      { case: 'fileContainingSymbol', value: 'passmanager.data.v1.GetEntryRequest' },
    ] as const) {
      const names = fileNames(index.answer(question));
      expect(names[0], question.value).to.equal('passmanager/data/v1/data_service.proto');
      expect(names).to.include('passmanager/common/v1/access.proto');
      expect(names).to.include('google/protobuf/descriptor.proto');
      expect(new Set(names).size).to.equal(names.length);
    }
  });

  it('finds the extension that holds the access rule', () => {
    const [extension] = file_passmanager_common_v1_access.extensions;
    const numbers = index.answer({
      case: 'allExtensionNumbersOfType',
      value: 'google.protobuf.MethodOptions',
    });
    expect(numbers.value).to.deep.equal({
      baseTypeName: 'google.protobuf.MethodOptions',
      extensionNumber: [extension!.number],
    });
    const file = index.answer({
      case: 'fileContainingExtension',
      value: { containingType: 'google.protobuf.MethodOptions', extensionNumber: extension!.number },
    });
    expect(fileNames(file)[0]).to.equal('passmanager/common/v1/access.proto');
  });

  it('lists services', () => {
    expect(index.answer({ case: 'listServices', value: '' }).value).to.deep.equal({
      service: [{ name: 'passmanager.data.v1.DataService' }],
    });
  });
});

describe('server reflection', () => {
  let door: Door;
  let client: Client;

  async function open(reflection: boolean): Promise<string> {
    door = await createGrpcDoor({
      rpcs: fakeRpcs().rpcs,
      readiness: new FakeReadiness(),
      clients: NO_PROXIES,
      host: '127.0.0.1',
      port: 0,
      limits: DEFAULT_DOOR_LIMITS,
      log: collectingLog().log,
      reflection,
    });
    client = new Client(`127.0.0.1:${door.address.port}`, credentials.createInsecure());
    return `http://127.0.0.1:${door.address.port}`;
  }

  afterEach(async () => {
    client.close();
    await door.stop(500);
  });

  /** Sends raw requests on one stream and waits for its end. */
  function converse(version: 'v1' | 'v1alpha', questions: Buffer[], halfClose = true) {
    const { response } = reflectionContract(version);
    const call = client.makeBidiStreamRequest(
      `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
      (bytes: Buffer) => bytes,
      (bytes: Buffer): Message => fromBinary(response, bytes),
    );
    const answers: Message[] = [];
    call.on('data', (message: Message) => answers.push(message));
    const ended = new Promise<number>((resolve) => {
      call.on('error', (error: ServiceError) => resolve(error.code));
      call.on('end', () => resolve(status.OK));
    });
    for (const question of questions) call.write(question);
    if (halfClose) call.end();
    return { answers, ended };
  }

  it('is not there unless it is configured', async () => {
    await open(false);
    expect(await converse('v1', []).ended).to.equal(status.UNIMPLEMENTED);
  });

  it('ends a stream with a message that cannot be parsed with INVALID_ARGUMENT', async () => {
    await open(true);
    expect(await converse('v1', [Buffer.from('ffff', 'hex')]).ended).to.equal(status.INVALID_ARGUMENT);
  });

  it('ends it so, too, when questions stand on both sides of that message', async () => {
    await open(true);
    // In one piece, so that the later questions are there when the bad one is read.
    const envelope = (message: Buffer) => Buffer.concat([Buffer.from([0, 0, 0, 0, message.length]), message]);
    const question = envelope(Buffer.from('3a00', 'hex'));
    const peer = connect(`http://127.0.0.1:${door.address.port}`);
    const stream = peer.request({
      ':method': 'POST',
      ':path': '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const trailers = once(stream, 'trailers');
    stream.resume();
    stream.end(Buffer.concat([question, envelope(Buffer.from('ffff', 'hex')), question, question]));
    expect((await trailers)[0]).to.have.property('grpc-status', `${status.INVALID_ARGUMENT}`);
    peer.close();
  });

  it('answers question after question, and repeats each', async () => {
    await open(true);
    for (const version of ['v1', 'v1alpha'] as const) {
      const { request } = reflectionContract(version);
      const question = Buffer.from(
        toBinary(
          request,
          create(request, { host: 'here', messageRequest: { case: 'listServices', value: '*' } }),
        ),
      );
      const { answers, ended } = converse(version, [question, question, question]);
      expect(await ended).to.equal(status.OK);
      expect(answers).to.have.length(3);
      expect(answers[2]).to.have.nested.property('originalRequest.host', 'here');
      expect(answers[2]).to.have.nested.property('messageResponse.case', 'listServicesResponse');
    }
  });

  it('does not hold up the stop of the door', async () => {
    await open(true);
    const { ended } = converse('v1', [], false);
    await new Promise((resolve) => setTimeout(resolve, 50));
    await door.stop(2000);
    expect(await ended).to.equal(status.UNAVAILABLE);
  });

  it('is what buf curl needs to list the services and to call one', async () => {
    const url = await open(true);
    const plaintext = ['curl', '--protocol', 'grpc', '--http2-prior-knowledge'];
    const { stdout: services } = await run(buf, [...plaintext, url, '--list-services']);
    expect(services.trim().split('\n')).to.deep.equal([
      'grpc.health.v1.Health',
      'grpc.reflection.v1.ServerReflection',
      'grpc.reflection.v1alpha.ServerReflection',
      'passmanager.data.v1.DataService',
      'passmanager.password.v1.PasswordService',
      'passmanager.session.v1.SessionService',
      'passmanager.user.v1.UserService',
    ]);
    const { stdout: answer } = await run(buf, [
      ...plaintext,
      '--data',
      '{"usernameHash":"AQID"}',
      `${url}/passmanager.user.v1.UserService/RegisterUser`,
    ]);
    expect(JSON.parse(answer)).to.deep.equal({ usernameHash: 'AQID' });
  });
});
