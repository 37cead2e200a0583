import { defineEntity, p } from '@mikro-orm/core';

const InviteSchema = defineEntity({
  name: 'Invite',
  tableName: 'invites',
  properties: {
    /** SHA-256 of the code, 32 bytes. */
    codeHash: p.blob().primary(),
    createdAt: p.datetime().defaultRaw('now()'),
    expiresAt: p.datetime().nullable(),
    /** The lookup of the name that used it, 32 bytes. */
    usedBy: p.blob().nullable(),
    usedAt: p.datetime().nullable(),
  },
});

/** What lets one person in where registration is by invite. */
export class Invite extends InviteSchema.class {}
InviteSchema.setClass(Invite);
