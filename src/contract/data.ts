/** passmanager.data.v1: DataService and its messages. */
export * from '../../gen/passmanager/data/v1/data_service_pb.ts';
export * from '../../gen/passmanager/data/v1/entry_pb.ts';
