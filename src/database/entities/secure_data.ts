import { defineEntity, p } from '@mikro-orm/core';
import { User } from './user.ts';

const SecureDataSchema = defineEntity({
  name: 'SecureData',
  tableName: 'secure_data',
  indexes: [{ properties: ['user', 'revision'] }],
  properties: {
    user: () => p.manyToOne(User).primary().deleteRule('cascade').updateRule('no action'),
    entryId: p.uuid().primary(),
    /** Name and data are both none in a tombstone. */
    entryName: p.blob().nullable(),
    entryData: p.blob().nullable().lazy(),
    /** Bytes of the password change that wrote them; those of any other change count as absent. */
    newEntryName: p.blob().nullable().lazy(),
    newEntryData: p.blob().nullable().lazy(),
    newChangeSessionId: p.uuid().nullable(),
    revision: p.bigint('bigint'),
    createdAt: p.datetime().defaultRaw('now()'),
    updatedAt: p.datetime().defaultRaw('now()'),
  },
});

/** An entry, sealed by its client, or the tombstone of one. */
export class SecureData extends SecureDataSchema.class {}
SecureDataSchema.setClass(SecureData);
