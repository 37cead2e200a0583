import { defineEntity, p } from '@mikro-orm/core';

const UserSchema = defineEntity({
  name: 'User',
  tableName: 'users',
  properties: {
    /** Made by the program, so that a sealed column can name its row. */
    id: p.uuid().primary(),
    /** HMAC of the username hash under the lookup key, 32 bytes: all that the server keeps of a name. */
    usernameLookup: p.blob().unique(),
    srpSalt: p.blob().hidden().lazy(),
    srpVerifier: p.blob().hidden().lazy(),
    masterKeySalt: p.blob().hidden().lazy(),
    encryptedVaultHeader: p.blob().hidden().lazy(),
    kdfAlgorithm: p.integer(),
    kdfMemoryKib: p.integer(),
    kdfIterations: p.integer(),
    kdfParallelism: p.integer(),
    /** Raised by a password-change commit and by ChangeUsername; a log-in of an older generation does not open. */
    credentialGeneration: p.bigint('bigint').defaultRaw('0'),
    /** 16 random bytes, new whenever revisions may have been taken back. */
    historyId: p.blob(),
    /** Counts changes of entries. */
    revision: p.bigint('bigint').defaultRaw('0'),
    /** Live entries. */
    entryCount: p.integer().default(0),
    /** How many entries it may have; none: the server's setting. */
    maxEntries: p.integer().nullable(),
    tombstonesPurgedAt: p.datetime().nullable(),
    /** The open password change: its session and the one that began it, without foreign keys. */
    changeSessionId: p.uuid().nullable(),
    changeBegunBy: p.uuid().nullable(),
    changeOpenedAt: p.datetime().nullable(),
    changeExpiresAt: p.datetime().nullable(),
    changeRemainingEntries: p.integer().nullable(),
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
    createdAt: p.datetime().defaultRaw('now()'),
  },
});

/** An account: what a password is verified with, where its entries stand, and the password change that is open. */
export class User extends UserSchema.class {}
UserSchema.setClass(User);
