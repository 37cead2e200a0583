import { defineEntity, p } from '@mikro-orm/core';
import { User } from './user.ts';

const LoginSessionSchema = defineEntity({
  name: 'LoginSession',
  tableName: 'login_sessions',
  properties: {
    /** The session_id of the contract. */
    id: p.uuid().primary(),
    user: () => p.manyToOne(User).deleteRule('cascade').updateRule('no action').index(),
    /** K, 32 bytes before sealing. */
    sessionKey: p.blob().hidden().lazy(),
    /** 1 login, 2 password change. */
    kind: p.smallint(),
    /** -1: none was accepted. */
    highestRequestNumber: p.bigint('bigint').defaultRaw('-1'),
    /** Bit i: number highest - i was accepted. */
    requestWindow: p.bigint('bigint').defaultRaw('0'),
    requestCount: p.bigint('bigint').defaultRaw('0'),
    /** None: 2^32. */
    maximumRequests: p.bigint('bigint').nullable(),
    /** None: does not expire; that of a password change stands in the user's row. */
    expiresAt: p.datetime().nullable(),
    lastUsedAt: p.datetime().defaultRaw('now()'),
    createdAt: p.datetime().defaultRaw('now()'),
  },
});

/** An open session. */
export class LoginSession extends LoginSessionSchema.class {}
LoginSessionSchema.setClass(LoginSession);
