/** `passmanager audit`: what changed about accounts and the server. */
import { Command, Option } from 'commander';
import { readEvents } from '../../database/audit_log.ts';
import type { CliContext } from '../context.ts';
import { parseDuration } from '../duration.ts';
import { formatTable } from '../table.ts';
import { withDatabase } from '../with_database.ts';

/** The command. */
export function auditCommand(context: CliContext): Command {
  return new Command('audit')
    .description('show what changed about accounts and the server; events go after a year')
    .addOption(
      new Option('--since <duration>', 'how far back: m, h or d')
        .default(parseDuration('30d'), '30d')
        .argParser(parseDuration),
    )
    .addOption(new Option('--json', 'print JSON'))
    .addHelpText('after', '\nExample: passmanager audit --since 7d')
    .action(async (options: { since: number; json?: boolean }) => {
      const events = await withDatabase(context.config(), (database) =>
        readEvents(database.reads, options.since),
      );
      context.print(events, options.json, (rows) =>
        rows.length === 0
          ? 'Nothing changed.'
          : formatTable(
              ['AT', 'EVENT', 'ACCOUNT'],
              rows.map(({ at, event, userId }) => [at.toISOString(), event, userId ?? '']),
            ),
      );
    });
}
