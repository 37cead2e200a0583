/** `node test/support/write_schema_snapshot.ts`, with a new migration: writes down what the entities say now. */
import { writeFileSync } from 'node:fs';
import { openDatabase } from '../../src/database/database.ts';

const database = await openDatabase({ connection: { host: '/nonexistent', user: 'none', database: 'none' } });
const file = new URL('../../src/database/migrations/.snapshot-passmanager.json', import.meta.url);
writeFileSync(file, `${JSON.stringify(database.orm.schema.getTargetSchema(), null, 2)}\n`);
await database.close();
