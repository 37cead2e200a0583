import { defineEntity, p } from '@mikro-orm/core';

const ServerKeySchema = defineEntity({
  name: 'ServerKey',
  tableName: 'server_keys',
  properties: {
    id: p.integer().primary().autoincrement(false),
    /** 1 sealing, 2 lookup. */
    purpose: p.smallint(),
    keyFileSlot: p.blob().hidden(),
    recoverySlot: p.blob().nullable().hidden(),
    canary: p.blob().hidden(),
    /** 1 active, 2 retired, 3 staged. */
    state: p.smallint(),
    createdAt: p.datetime().defaultRaw('now()'),
  },
});

/** A key of the server, wrapped under the key file and under the recovery code. */
export class ServerKey extends ServerKeySchema.class {}
ServerKeySchema.setClass(ServerKey);
