/** The generated contract, a namespace an area: `data` and `password` have messages of the same names. */
export * as password from '../../gen/passmanager/password/v1/password_service_pb.ts';
export * as user from '../../gen/passmanager/user/v1/user_service_pb.ts';
export * as common from './common.ts';
export * as data from './data.ts';
export * as session from './session.ts';
