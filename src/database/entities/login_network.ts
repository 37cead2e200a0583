import { defineEntity, p } from '@mikro-orm/core';
import { User } from './user.ts';

const LoginNetworkSchema = defineEntity({
  name: 'LoginNetwork',
  tableName: 'login_networks',
  indexes: [{ properties: ['user', 'lastUsedAt'] }, { properties: ['lastUsedAt'] }],
  properties: {
    /** HMAC of name and network, 16 bytes. */
    key: p.blob().primary(),
    user: () => p.manyToOne(User).deleteRule('cascade').updateRule('no action'),
    lastUsedAt: p.datetime().defaultRaw('now()'),
  },
});

/** A network from which an account has logged in. */
export class LoginNetwork extends LoginNetworkSchema.class {}
LoginNetworkSchema.setClass(LoginNetwork);
