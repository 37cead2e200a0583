/** Password exports in the form that browsers write: a header line with name, url, username, password and perhaps note. */
import { CsvError, parse } from 'csv-parse/browser/esm/sync';
import type { NewEntry } from './entry.ts';

/** A file that is not such an export. Nothing of it was imported. The message never holds a value. */
export class CsvImportError extends Error {
  /** The line where it went wrong, from 1; undefined when the file as a whole did. */
  readonly line: number | undefined;

  constructor(message: string, line?: number) {
    super(line === undefined ? message : `line ${line}: ${message}`);
    this.name = 'CsvImportError';
    this.line = line;
  }
}

type Column = 'name' | 'url' | 'username' | 'password' | 'note';

/** What browsers call the columns. Others are ignored. */
const COLUMNS: ReadonlyMap<string, Column> = new Map([
  ['name', 'name'],
  ['title', 'name'],
  ['url', 'url'],
  ['username', 'username'],
  ['password', 'password'],
  ['note', 'note'],
  ['notes', 'note'],
]);

/**
 * Reads an export: quotes, line breaks inside of them, CRLF and a byte order mark are as in RFC 4180 and in life. Blank lines are
 * skipped. An entry without a name is named by the host of its address, or by its username. Throws CsvImportError for a file
 * without the columns url, username and password, a row with another number of columns, and broken quotes.
 */
export function parsePasswordCsv(text: string): NewEntry[] {
  const [header, ...rows] = recordsOf(text);
  if (header === undefined) throw new CsvImportError('the file is empty');
  const columns = header.fields.map((name) => COLUMNS.get(name.trim().toLowerCase()));
  for (const needed of ['url', 'username', 'password'] as const) {
    if (!columns.includes(needed)) throw new CsvImportError(`there is no column "${needed}"`, header.line);
    if (columns.indexOf(needed) !== columns.lastIndexOf(needed)) {
      throw new CsvImportError(`there are several columns "${needed}"`, header.line);
    }
  }
  return rows.map(({ fields, line }) => {
    if (fields.length !== columns.length) {
      throw new CsvImportError(`${fields.length} columns, not ${columns.length} as in the header`, line);
    }
    return toNewEntry((column) => fields[columns.indexOf(column)] ?? '', line);
  });
}

function toNewEntry(field: (column: Column) => string, line: number): NewEntry {
  const [url, username, password, notes] = [
    field('url'),
    field('username'),
    field('password'),
    field('note'),
  ];
  const name = field('name') || hostOf(url) || username;
  if (name === '') throw new CsvImportError('neither a name nor a url nor a username', line);
  return {
    name,
    kind: 'login',
    ...(url === '' ? {} : { website: url }),
    ...(username === '' ? {} : { username }),
    ...(password === '' ? {} : { password }),
    ...(notes === '' ? {} : { notes }),
  };
}

function hostOf(url: string): string {
  return URL.parse(url)?.hostname || url;
}

/** The records with the line on which each begins. */
function recordsOf(text: string): { fields: string[]; line: number }[] {
  try {
    const records = parse(text, {
      bom: true,
      info: true,
      relax_column_count: true,
      skip_empty_lines: true,
    }) as unknown as { record: string[]; info: { lines: number } }[];
    return records.map(({ record, info }) => {
      // The parser counts the lines up to a record's end.
      const breaks = record.join('').match(/\r\n|\n|\r/g)?.length ?? 0;
      return { fields: record, line: info.lines - breaks };
    });
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    // The parser's own message quotes the file: it is not passed on.
    const { lines } = error as CsvError & { lines?: number };
    throw new CsvImportError('the quotes are broken', typeof lines === 'number' ? lines : undefined);
  }
}
