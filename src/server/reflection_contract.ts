/**
 * The public contract grpc.reflection.v1, and v1alpha, which differs by its package only, as descriptors. Written as data
 * for the same reason as health_contract.ts.
 */
import {
  create,
  createFileRegistry,
  type DescFile,
  type DescMessage,
  type DescService,
  type Message,
  type MessageInitShape,
} from '@bufbuild/protobuf';
import {
  type FieldDescriptorProtoSchema,
  FileDescriptorProtoSchema,
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
} from '@bufbuild/protobuf/wkt';

/** One request of the stream; its answer repeats it. */
export type ReflectionRequest = Message & {
  host: string;
  messageRequest:
    | {
        case: 'fileByFilename' | 'fileContainingSymbol' | 'allExtensionNumbersOfType' | 'listServices';
        value: string;
      }
    | { case: 'fileContainingExtension'; value: { containingType: string; extensionNumber: number } }
    | { case: undefined; value?: undefined };
};

/** The part of an answer that depends on the question. */
export type ReflectionAnswer =
  | { case: 'fileDescriptorResponse'; value: { fileDescriptorProto: Uint8Array[] } }
  | { case: 'allExtensionNumbersResponse'; value: { baseTypeName: string; extensionNumber: number[] } }
  | { case: 'listServicesResponse'; value: { service: { name: string }[] } }
  | { case: 'errorResponse'; value: { errorCode: number; errorMessage: string } };

/** The descriptors of one version of the contract. */
export interface ReflectionContract {
  readonly file: DescFile;
  readonly service: DescService;
  readonly request: DescMessage;
  readonly response: DescMessage;
}

/** The contract in the package `grpc.reflection.<version>`. */
export function reflectionContract(version: 'v1' | 'v1alpha'): ReflectionContract {
  const scope = `grpc.reflection.${version}`;
  const name = `grpc/reflection/${version}/reflection.proto`;
  const of = (type: string) => `.${scope}.${type}`;
  const registry = createFileRegistry(
    create(FileDescriptorProtoSchema, {
      name,
      package: scope,
      syntax: 'proto3',
      messageType: [
        {
          name: 'ServerReflectionRequest',
          field: [
            field('host', 1, Type.STRING),
            choice('file_by_filename', 3, Type.STRING),
            choice('file_containing_symbol', 4, Type.STRING),
            choice('file_containing_extension', 5, Type.MESSAGE, of('ExtensionRequest')),
            choice('all_extension_numbers_of_type', 6, Type.STRING),
            choice('list_services', 7, Type.STRING),
          ],
          oneofDecl: [{ name: 'message_request' }],
        },
        {
          name: 'ExtensionRequest',
          field: [field('containing_type', 1, Type.STRING), field('extension_number', 2, Type.INT32)],
        },
        {
          name: 'ServerReflectionResponse',
          field: [
            field('valid_host', 1, Type.STRING),
            field('original_request', 2, Type.MESSAGE, of('ServerReflectionRequest')),
            choice('file_descriptor_response', 4, Type.MESSAGE, of('FileDescriptorResponse')),
            choice('all_extension_numbers_response', 5, Type.MESSAGE, of('ExtensionNumberResponse')),
            choice('list_services_response', 6, Type.MESSAGE, of('ListServiceResponse')),
            choice('error_response', 7, Type.MESSAGE, of('ErrorResponse')),
          ],
          oneofDecl: [{ name: 'message_response' }],
        },
        { name: 'FileDescriptorResponse', field: [list('file_descriptor_proto', 1, Type.BYTES)] },
        {
          name: 'ExtensionNumberResponse',
          field: [field('base_type_name', 1, Type.STRING), list('extension_number', 2, Type.INT32)],
        },
        { name: 'ListServiceResponse', field: [list('service', 1, Type.MESSAGE, of('ServiceResponse'))] },
        { name: 'ServiceResponse', field: [field('name', 1, Type.STRING)] },
        {
          name: 'ErrorResponse',
          field: [field('error_code', 1, Type.INT32), field('error_message', 2, Type.STRING)],
        },
      ],
      service: [
        {
          name: 'ServerReflection',
          method: [
            {
              name: 'ServerReflectionInfo',
              inputType: of('ServerReflectionRequest'),
              outputType: of('ServerReflectionResponse'),
              clientStreaming: true,
              serverStreaming: true,
            },
          ],
        },
      ],
    }),
    () => undefined,
  );
  return {
    file: registry.getFile(name)!,
    service: registry.getService(`${scope}.ServerReflection`)!,
    request: registry.getMessage(`${scope}.ServerReflectionRequest`)!,
    response: registry.getMessage(`${scope}.ServerReflectionResponse`)!,
  };
}

type Field = MessageInitShape<typeof FieldDescriptorProtoSchema>;

function field(name: string, number: number, type: Type, typeName?: string): Field {
  const base = { name, number, type, label: Label.OPTIONAL };
  return typeName === undefined ? base : { ...base, typeName };
}

/** A member of the message's only oneof. */
function choice(name: string, number: number, type: Type, typeName?: string): Field {
  return { ...field(name, number, type, typeName), oneofIndex: 0 };
}

function list(name: string, number: number, type: Type, typeName?: string): Field {
  return { ...field(name, number, type, typeName), label: Label.REPEATED };
}
