import { defineEntity, p } from '@mikro-orm/core';

const AuditEventSchema = defineEntity({
  name: 'AuditEvent',
  tableName: 'audit_events',
  indexes: [{ properties: ['at'] }],
  properties: {
    id: p.uuid().primary().defaultRaw('gen_random_uuid()'),
    at: p.datetime().defaultRaw('clock_timestamp()'),
    /** One of the names of AUDIT_EVENTS. */
    event: p.text(),
    /** The account that it is about; it may be gone. */
    userId: p.uuid().nullable(),
  },
});

/** Something that changed about an account or the server. */
export class AuditEvent extends AuditEventSchema.class {}
AuditEventSchema.setClass(AuditEvent);
