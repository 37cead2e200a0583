import { Migration } from '@mikro-orm/migrations';

/** A sealing key can be staged: every server learns of it before anything is sealed with it. */
export class Migration20261124150000KeyStates extends Migration {
  override up(): void {
    this.addSql(`alter table server_keys drop constraint server_keys_state_check,
      add constraint server_keys_state_check check (state in (1, 2, 3))`);
  }

  override down(): void {
    throw new Error('a staged key has no place below');
  }
}
