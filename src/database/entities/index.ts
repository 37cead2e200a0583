/** Every entity, explicitly: nothing is discovered. */
import { AuthEphemeral } from './auth_ephemeral.ts';
import { Invite } from './invite.ts';
import { LoginSession } from './login_session.ts';
import { SecureData } from './secure_data.ts';
import { ServerKey } from './server_key.ts';
import { User } from './user.ts';

export { AuthEphemeral, Invite, LoginSession, SecureData, ServerKey, User };

export const entities = [User, AuthEphemeral, LoginSession, SecureData, Invite, ServerKey] as const;
