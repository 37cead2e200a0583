/** passmanager.common.v1: envelopes, errors, KDF parameters, what clients encrypt, access rules. */
export * from '../../gen/passmanager/common/v1/access_pb.ts';
export * from '../../gen/passmanager/common/v1/error_pb.ts';
export * from '../../gen/passmanager/common/v1/kdf_pb.ts';
export * from '../../gen/passmanager/common/v1/secure_pb.ts';
export * from '../../gen/passmanager/common/v1/vault_pb.ts';
