import { Migration } from '@mikro-orm/migrations';

/**
 * A log-in attempt knows the name it is for and no user, so that one for a known name costs no more than another: only
 * the start of a password change refers to its user. Sessions end, for their keys are sealed to user and kind from here on.
 */
export class Migration20261124000000AttemptsByName extends Migration {
  override up(): void {
    this.addSql('delete from auth_ephemerals');
    this.addSql(`alter table auth_ephemerals add constraint auth_ephemerals_user_is_of_change
      check ((user_id is not null) = (kind = 2))`);
    this.addSql('delete from login_sessions');
  }

  override down(): void {
    this.addSql('alter table auth_ephemerals drop constraint auth_ephemerals_user_is_of_change');
    this.addSql('delete from login_sessions');
  }
}
