/** passmanager.session.v1: SessionService and its messages. */
export * from '../../gen/passmanager/session/v1/session_pb.ts';
export * from '../../gen/passmanager/session/v1/session_service_pb.ts';
