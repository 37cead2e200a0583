import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

const root = fileURLToPath(new URL('../../', import.meta.url));

async function documents(): Promise<string[]> {
  const top = (await readdir(root)).filter((name) => name.endsWith('.md'));
  const below = (await readdir(join(root, 'docs'), { recursive: true })).filter((name) =>
    name.endsWith('.md'),
  );
  return [...top, ...below.map((name) => join('docs', name))];
}

describe('the documents', () => {
  it('point to files that are there', async () => {
    const missing: string[] = [];
    for (const file of await documents()) {
      const text = await readFile(join(root, file), 'utf8');
      for (const [, target] of text.matchAll(/\]\(([^)#]+)[^)]*\)/g)) {
        if (!/^https?:/.test(target!) && !existsSync(join(root, dirname(file), target!)))
          missing.push(`${file}: ${target}`);
      }
      // Paths that are named in the text are from the top; what is below dist is there once it was built.
      for (const [, target] of text.matchAll(
        /(?<!dist\/)\b((?:src|test|docs|examples|proto)\/[\w/.-]*\w)/g,
      )) {
        const exists = [target!, `${target}.md`, `${target}.ts`].some((path) => existsSync(join(root, path)));
        if (!exists) missing.push(`${file}: ${target}`);
      }
    }
    expect(missing).to.deep.equal([]);
  });

  it('are one title each, and say nothing of a machine', async () => {
    for (const file of await documents()) {
      const text = await readFile(join(root, file), 'utf8');
      const outside = text.replace(/```[\s\S]*?```/g, '');
      expect(outside.match(/^# /gm), file).to.have.length(1);
      expect(outside, file).not.to.match(/\/(home|root|tmp|work)\//);
    }
  });
});
