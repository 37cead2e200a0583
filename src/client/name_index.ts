/** Names in memory, for lists and searches: nothing is asked of the server while a person types. */
import type { EntrySummary } from './entry.ts';

/** Case, compatibility forms and accents do not matter: what is left of "Zürich ＢＡＮＫ" is "zurich bank". */
export function foldForSearch(text: string): string {
  return text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
}

/** How well a name fits one word; lower is better; undefined: not at all. */
function rankOfWord(name: string, word: string): number | undefined {
  const at = name.indexOf(word);
  if (at === -1) return undefined;
  if (at === 0) return name.length === word.length ? 0 : 1;
  return startsAWord(name, word) ? 2 : 3;
}

function startsAWord(name: string, word: string): boolean {
  for (let at = name.indexOf(word); at !== -1; at = name.indexOf(word, at + 1)) {
    if (at === 0 || !/[\p{L}\p{N}]$/u.test(name.slice(0, at))) return true;
  }
  return false;
}

/** Names by their entries’ ids. */
export class NameIndex {
  readonly #byId = new Map<string, { readonly summary: EntrySummary; readonly folded: string }>();

  /** Whether every name of the vault was put at least once. */
  isComplete = false;

  put(summary: EntrySummary): void {
    this.#byId.set(summary.id, { summary, folded: foldForSearch(summary.name) });
  }

  remove(id: string): void {
    this.#byId.delete(id);
  }

  clear(): void {
    this.#byId.clear();
    this.isComplete = false;
  }

  /** All names in alphabetical order. */
  all(): EntrySummary[] {
    return this.#sorted([...this.#byId.values()].map((entry) => ({ ...entry, rank: 0 })));
  }

  /** The names that hold every word of the query: whole names first, then beginnings, word beginnings and the rest. */
  search(query: string): EntrySummary[] {
    const folded = foldForSearch(query).trim();
    if (folded === '') return this.all();
    const words = folded.split(/\s+/u);
    const found = [...this.#byId.values()].flatMap((entry) => {
      if (entry.folded === folded) return [{ ...entry, rank: -1 }];
      const ranks = words.map((word) => rankOfWord(entry.folded, word));
      return ranks.includes(undefined) ? [] : [{ ...entry, rank: Math.max(...(ranks as number[])) }];
    });
    return this.#sorted(found);
  }

  #sorted(entries: { summary: EntrySummary; folded: string; rank: number }[]): EntrySummary[] {
    const byText = (one: string, other: string) => (one < other ? -1 : Number(one > other));
    return entries
      .sort(
        (one, other) =>
          one.rank - other.rank ||
          byText(one.folded, other.folded) ||
          byText(one.summary.id, other.summary.id),
      )
      .map(({ summary }) => summary);
  }
}
