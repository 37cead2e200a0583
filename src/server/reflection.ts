/** Server reflection: tells a caller the contract itself, for tools such as `buf curl` and grpcurl. */
import {
  create,
  type DescExtension,
  type DescFile,
  fromBinary,
  type Message,
  toBinary,
} from '@bufbuild/protobuf';
import { nestedTypes } from '@bufbuild/protobuf/reflect';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { type Server, type ServerDuplexStream, status } from '@grpc/grpc-js';
import type { OpenStreams } from './open_streams.ts';
import {
  type ReflectionAnswer,
  type ReflectionContract,
  type ReflectionRequest,
  reflectionContract,
} from './reflection_contract.ts';
import { READ_OPTIONS, type Rpc } from './rpc.ts';

/**
 * Serves both versions of reflection on a gRPC server, over everything that `rpcs` offer and over itself. Its
 * streams are among `streams`. Returns the paths.
 */
export function addReflection(server: Server, rpcs: readonly Rpc[], streams: OpenStreams): string[] {
  const contracts = [reflectionContract('v1'), reflectionContract('v1alpha')];
  const index = new DescriptorIndex([
    ...rpcs.map(({ method }) => method.parent.file),
    ...contracts.map(({ file }) => file),
  ]);
  return contracts.map((contract) => {
    const path = `/${contract.service.typeName}/ServerReflectionInfo`;
    server.register(
      path,
      (call: ServerDuplexStream<Buffer, Message>) => converse(call, contract, index, streams),
      (message: Message) => Buffer.from(toBinary(contract.response, message)),
      (bytes: Buffer) => bytes,
      'bidi',
    );
    return path;
  });
}

/** Answers one question after the other, as fast as the caller takes the answers. */
function converse(
  call: ServerDuplexStream<Buffer, Message>,
  contract: ReflectionContract,
  index: DescriptorIndex,
  streams: OpenStreams,
): void {
  const controller = streams.open();
  call.once('close', () => streams.close(controller));
  // A listener for errors comes with the stream: it turns them into the call's status.
  const stop = () => call.emit('error', { code: status.UNAVAILABLE, details: 'unavailable' });
  if (controller.signal.aborted) stop();
  else controller.signal.addEventListener('abort', stop);
  const onQuestion = (bytes: Buffer): void => {
    let request: ReflectionRequest;
    try {
      request = fromBinary(contract.request, bytes, READ_OPTIONS) as ReflectionRequest;
    } catch {
      // An answer to a later question would come before the status and hold it back for ever.
      call.off('data', onQuestion);
      call.emit('error', { code: status.INVALID_ARGUMENT, details: 'invalid argument' });
      return;
    }
    const response = create(contract.response, {
      validHost: request.host,
      originalRequest: request,
      messageResponse: index.answer(request.messageRequest),
    });
    if (!call.write(response)) {
      call.pause();
      call.once('drain', () => call.resume());
    }
  };
  call.on('data', onQuestion);
  call.on('end', () => call.end());
}

/** What can be asked about a set of files and all that they import. */
export class DescriptorIndex {
  readonly #files = new Map<string, DescFile>();
  readonly #symbols = new Map<string, DescFile>();
  readonly #extensions: DescExtension[] = [];
  readonly #services = new Set<string>();

  constructor(roots: readonly DescFile[]) {
    for (const root of roots) {
      for (const service of root.services) this.#services.add(service.typeName);
      this.#add(root);
    }
  }

  /** The answer to a question; an ErrorResponse with NOT_FOUND or INVALID_ARGUMENT when there is none. */
  answer(question: ReflectionRequest['messageRequest']): ReflectionAnswer {
    switch (question.case) {
      case 'listServices':
        return {
          case: 'listServicesResponse',
          value: { service: [...this.#services].sort().map((name) => ({ name })) },
        };
      case 'fileByFilename':
        return files(this.#files.get(question.value));
      case 'fileContainingSymbol':
        return files(this.#symbols.get(question.value));
      case 'fileContainingExtension': {
        const { containingType, extensionNumber } = question.value;
        return files(
          this.#extensionsOf(containingType).find(({ number }) => number === extensionNumber)?.file,
        );
      }
      case 'allExtensionNumbersOfType':
        if (!this.#symbols.has(question.value)) return failure(status.NOT_FOUND, 'not found');
        return {
          case: 'allExtensionNumbersResponse',
          value: {
            baseTypeName: question.value,
            extensionNumber: this.#extensionsOf(question.value).map(({ number }) => number),
          },
        };
      default:
        return failure(status.INVALID_ARGUMENT, 'invalid argument');
    }
  }

  #extensionsOf(typeName: string): DescExtension[] {
    return this.#extensions.filter(({ extendee }) => extendee.typeName === typeName);
  }

  #add(file: DescFile): void {
    if (this.#files.has(file.proto.name)) return;
    this.#files.set(file.proto.name, file);
    for (const type of nestedTypes(file)) {
      this.#symbols.set(type.typeName, file);
      if (type.kind === 'extension') this.#extensions.push(type);
      if (type.kind === 'service') {
        for (const method of type.methods) this.#symbols.set(`${type.typeName}.${method.name}`, file);
      }
    }
    for (const dependency of file.dependencies) this.#add(dependency);
  }
}

/** The file and all that it imports, which is what clients need to make sense of it. */
function files(root: DescFile | undefined): ReflectionAnswer {
  if (root === undefined) return failure(status.NOT_FOUND, 'not found');
  const wanted = new Set<DescFile>();
  const collect = (file: DescFile): void => {
    if (wanted.has(file)) return;
    wanted.add(file);
    file.dependencies.forEach(collect);
  };
  collect(root);
  return {
    case: 'fileDescriptorResponse',
    value: {
      fileDescriptorProto: [...wanted].map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto)),
    },
  };
}

function failure(errorCode: status, errorMessage: string): ReflectionAnswer {
  return { case: 'errorResponse', value: { errorCode, errorMessage } };
}
