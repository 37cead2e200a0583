/** What the revision feed asks and says. */
import { changeOpen, unexpired } from './gate_statements.ts';

/** Announces users to every replica. $1 channel, $2 ids with commas between, under 8,000 bytes. */
export const NOTIFY_USERS = 'select pg_notify($1, $2)';

/** How watched log-in sessions stand. $1 session ids. A session that is gone has alive false and no revision. */
export const WATCHED_SESSIONS = `select w.session_id, u.revision,
  coalesce(${changeOpen('u')}, false) as change_open, s.id is not null and ${unexpired('s')} as alive
from unnest($1::uuid[]) as w(session_id)
left join login_sessions s on s.id = w.session_id
left join users u on u.id = s.user_id`;
