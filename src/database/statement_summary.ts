/** What a statement does, in a few words: for whoever reads how long it took. */

/** Summaries by text; the program has a fixed number of texts. */
const summaries = new Map<string, string>();

const WRITES = /(?<!\b(?:for|key|do) )\b(insert into|update|delete from) ([a-z_]+)/g;
const READS = /\b(?:from|join) ([a-z_]+)\b(?!\()/;

/** `update login_sessions, insert secure_data`: the tables that it writes, else `select` and the first one that it reads. */
export function statementSummary(text: string): string {
  const known = summaries.get(text);
  if (known !== undefined) return known;
  const written = [...text.matchAll(WRITES)].map(([, verb, table]) => `${verb!.split(' ')[0]} ${table}`);
  const [, read] = READS.exec(text) ?? [];
  const summary =
    written.length > 0 ? [...new Set(written)].join(', ') : read === undefined ? 'select' : `select ${read}`;
  summaries.set(text, summary);
  return summary;
}
