/**
 * The public contract grpc.health.v1, as descriptors. It is written here as data because proto/ holds our own packages
 * only, which the contract's lint rules cover without exception.
 */
import { create, createFileRegistry, type DescService, type Message } from '@bufbuild/protobuf';
import type { GenMessage } from '@bufbuild/protobuf/codegenv2';
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FileDescriptorProtoSchema,
} from '@bufbuild/protobuf/wkt';

/** grpc.health.v1.HealthCheckResponse.ServingStatus. */
export const ServingStatus = { UNKNOWN: 0, SERVING: 1, NOT_SERVING: 2, SERVICE_UNKNOWN: 3 } as const;
/** One of them. */
export type ServingStatus = (typeof ServingStatus)[keyof typeof ServingStatus];

/** Asks for a service by its full name, or for the whole server by the empty one. */
export type HealthCheckRequest = Message<'grpc.health.v1.HealthCheckRequest'> & { service: string };
/** How it stands. */
export type HealthCheckResponse = Message<'grpc.health.v1.HealthCheckResponse'> & { status: ServingStatus };

const file = createFileRegistry(
  create(FileDescriptorProtoSchema, {
    name: 'grpc/health/v1/health.proto',
    package: 'grpc.health.v1',
    syntax: 'proto3',
    messageType: [
      {
        name: 'HealthCheckRequest',
        field: [
          {
            name: 'service',
            jsonName: 'service',
            number: 1,
            label: FieldDescriptorProto_Label.OPTIONAL,
            type: FieldDescriptorProto_Type.STRING,
          },
        ],
      },
      {
        name: 'HealthCheckResponse',
        field: [
          {
            name: 'status',
            jsonName: 'status',
            number: 1,
            label: FieldDescriptorProto_Label.OPTIONAL,
            type: FieldDescriptorProto_Type.ENUM,
            typeName: '.grpc.health.v1.HealthCheckResponse.ServingStatus',
          },
        ],
        enumType: [
          {
            name: 'ServingStatus',
            value: Object.entries(ServingStatus).map(([name, number]) => ({ name, number })),
          },
        ],
      },
    ],
    service: [
      {
        name: 'Health',
        method: [
          {
            name: 'Check',
            inputType: '.grpc.health.v1.HealthCheckRequest',
            outputType: '.grpc.health.v1.HealthCheckResponse',
          },
          {
            name: 'Watch',
            inputType: '.grpc.health.v1.HealthCheckRequest',
            outputType: '.grpc.health.v1.HealthCheckResponse',
            serverStreaming: true,
          },
        ],
      },
    ],
  }),
  () => undefined,
);

/** The descriptor of HealthCheckRequest. */
export const HealthCheckRequestSchema = file.getMessage(
  'grpc.health.v1.HealthCheckRequest',
) as GenMessage<HealthCheckRequest>;
/** The descriptor of HealthCheckResponse. */
export const HealthCheckResponseSchema = file.getMessage(
  'grpc.health.v1.HealthCheckResponse',
) as GenMessage<HealthCheckResponse>;
/** The service: Check and Watch. */
export const HealthService: DescService = file.getService('grpc.health.v1.Health')!;
