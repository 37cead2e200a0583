import { defineEntity, p } from '@mikro-orm/core';
import { User } from './user.ts';

const AuthEphemeralSchema = defineEntity({
  name: 'AuthEphemeral',
  tableName: 'auth_ephemerals',
  properties: {
    /** The ephemeral_id of the contract. */
    id: p.uuid().primary(),
    /** Of a password change. A log-in is found by its name, so that a known one costs no more than another. */
    user: () => p.manyToOne(User).nullable().deleteRule('cascade').updateRule('no action').index(),
    /** The name that was asked for, 32 bytes. */
    usernameLookup: p.blob(),
    credentialGeneration: p.bigint('bigint'),
    clientProtocol: p.bigint('bigint'),
    serverProtocol: p.integer(),
    /** 1 log-in, 2 start of a password change. */
    kind: p.smallint(),
    ephPrivateB: p.blob().hidden().lazy(),
    ephPublicB: p.blob().lazy(),
    /** The session that began a password change. */
    begunBySession: p.uuid().nullable(),
    newSrpSalt: p.blob().nullable().hidden().lazy(),
    newSrpVerifier: p.blob().nullable().hidden().lazy(),
    newMasterKeySalt: p.blob().nullable().hidden().lazy(),
    newEncryptedVaultHeader: p.blob().nullable().hidden().lazy(),
    newKdfAlgorithm: p.integer().nullable(),
    newKdfMemoryKib: p.integer().nullable(),
    newKdfIterations: p.integer().nullable(),
    newKdfParallelism: p.integer().nullable(),
    newEphPrivateB: p.blob().nullable().hidden().lazy(),
    newEphPublicB: p.blob().nullable().lazy(),
    expiresAt: p.datetime().index(),
    createdAt: p.datetime().defaultRaw('now()'),
  },
});

/** A log-in or the start of a password change between its two halves. */
export class AuthEphemeral extends AuthEphemeralSchema.class {}
AuthEphemeralSchema.setClass(AuthEphemeral);
