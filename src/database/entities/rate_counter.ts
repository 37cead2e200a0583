import { defineEntity, p } from '@mikro-orm/core';

const RateCounterSchema = defineEntity({
  name: 'RateCounter',
  tableName: 'rate_counters',
  indexes: [{ properties: ['minute'] }],
  properties: {
    /** HMAC of what is counted, 16 bytes. */
    key: p.blob().primary(),
    /** Minutes since 1970, by the database's clock. */
    minute: p.bigint('bigint'),
    /** Within that minute, and within the one before. */
    count: p.integer(),
    previous: p.integer(),
  },
});

/** How often something happened of late. */
export class RateCounter extends RateCounterSchema.class {}
RateCounterSchema.setClass(RateCounter);
