/** Every entity, explicitly: nothing is discovered. */
import { AuditEvent } from './audit_event.ts';
import { AuthEphemeral } from './auth_ephemeral.ts';
import { Invite } from './invite.ts';
import { LoginNetwork } from './login_network.ts';
import { LoginSession } from './login_session.ts';
import { RateCounter } from './rate_counter.ts';
import { SecureData } from './secure_data.ts';
import { ServerKey } from './server_key.ts';
import { User } from './user.ts';

export {
  AuditEvent,
  AuthEphemeral,
  Invite,
  LoginNetwork,
  LoginSession,
  RateCounter,
  SecureData,
  ServerKey,
  User,
};

/** For MikroORM, which discovers none by itself. */
export const entities = [
  User,
  AuthEphemeral,
  LoginSession,
  SecureData,
  Invite,
  ServerKey,
  RateCounter,
  LoginNetwork,
  AuditEvent,
] as const;
