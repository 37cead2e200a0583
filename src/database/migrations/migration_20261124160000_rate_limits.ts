import { Migration } from '@mikro-orm/migrations';

/**
 * Who may come in, and how much room one account has. The counters live a minute or two, so they are not worth a log: after
 * a crash they are empty. Keys are HMACs under a server key: no address and no name can be read from them.
 */
export class Migration20261124160000RateLimits extends Migration {
  override up(): void {
    this.addSql(`create unlogged table rate_counters (
      key bytea primary key check (octet_length(key) = 16),
      minute bigint not null,
      count int not null check (count >= 0),
      previous int not null check (previous >= 0)
    ) with (fillfactor = 50)`);
    this.addSql('create index rate_counters_minute_index on rate_counters (minute)');
    this.addSql(`create table login_networks (
      key bytea primary key check (octet_length(key) = 16),
      user_id uuid not null constraint login_networks_user_id_foreign references users (id) on delete cascade,
      last_used_at timestamptz not null default now()
    )`);
    this.addSql(
      'create index login_networks_user_id_last_used_at_index on login_networks (user_id, last_used_at)',
    );
    this.addSql('create index login_networks_last_used_at_index on login_networks (last_used_at)');
    this.addSql('alter table users add column max_entries entry_count');
  }

  override down(): void {
    this.addSql('drop table login_networks, rate_counters');
    this.addSql('alter table users drop column max_entries');
  }
}
