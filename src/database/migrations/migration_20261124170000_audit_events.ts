import { Migration } from '@mikro-orm/migrations';

/** What changed about accounts and the server. No foreign key: that an account was deleted stays known for a year. */
export class Migration20261124170000AuditEvents extends Migration {
  override up(): void {
    this.addSql(`create table audit_events (
      id uuid primary key default gen_random_uuid(),
      at timestamptz not null default clock_timestamp(),
      event text not null check (length(event) between 1 and 64),
      user_id uuid
    )`);
    this.addSql('create index audit_events_at_index on audit_events (at)');
  }

  override down(): void {
    this.addSql('drop table audit_events');
  }
}
