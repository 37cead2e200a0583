/** The program's own TypeScript files, and what they import, for the test that holds the structure. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';

export const ROOT = join(import.meta.dirname, '../..');

/** One file. Paths are from the root of the repository, with slashes. */
export interface SourceFile {
  readonly path: string;
  /** The text without comments. */
  readonly code: string;
  /** What it imports, types too: a path for what is ours, else the specifier as it is written. */
  readonly imports: readonly string[];
  /** The names that it imports from each specifier, as it writes them, types too. */
  readonly names: ReadonlyMap<string, readonly string[]>;
  /** Whether anything of it runs: neither types alone nor a list of what others export. */
  readonly isImplementation: boolean;
}

/** The TypeScript files below a folder, sorted. */
export function sourceFiles(folder: string): SourceFile[] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map(({ parentPath, name }) => relative(ROOT, join(parentPath, name)).split(sep).join('/'))
    .sort()
    .map((path) => parseSource(path, readFileSync(join(ROOT, path), 'utf8')));
}

const IMPORT =
  /\b(?:import|export)\s+(?:type\s+)?([\w*{][^'";=()]*?)\s*from\s*['"]([^'"]+)['"]|\bimport\s*\(?\s*['"]([^'"]+)['"]/g;

/** A statement that only passes on what another file has. */
const FROM = /^(?:import|export)\b[^;=()]*?\bfrom\s*['"][^;]*;/gm;

/** A statement, which the formatter starts at the margin, that is more than a type. */
const RUNS = /^(?!(?:export\s+)?(?:interface|type|declare)\b)[\w([`'"]/m;

/** What the text of a file says of it. */
export function parseSource(path: string, text: string): SourceFile {
  const code = withoutComments(text);
  const imports: string[] = [];
  const names = new Map<string, string[]>();
  for (const [, clause = '', from, bare] of code.matchAll(IMPORT)) {
    const specifier = (from ?? bare)!;
    imports.push(specifier.startsWith('.') ? join(dirname(path), specifier).split(sep).join('/') : specifier);
    names.set(specifier, [...(names.get(specifier) ?? []), ...(clause.match(/\w+/g) ?? [])]);
  }
  const statements = code.replaceAll(FROM, '');
  return { path, code, imports, names, isImplementation: RUNS.test(statements) };
}

/** Comments become blanks; texts and regular expressions stay as they are. */
function withoutComments(text: string): string {
  return text.replaceAll(
    /('(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`)|\/\*[\s\S]*?\*\/|(^|[^\\/:])\/\/[^\n]*/gm,
    (_, literal?: string, before?: string) => literal ?? before ?? ' ',
  );
}
