/** What the package of this program says of it. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Its version, and the range of Node that it runs on. */
export interface Package {
  readonly version: string;
  readonly engines: { readonly node: string };
}

/** The directory of the package: the one with the package.json above this file, built or not. */
export function packageRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, 'package.json'))) directory = dirname(directory);
  return directory;
}

/** Its package.json. Runs on any Node, to tell what is too old. */
export function packageOfProgram(): Package {
  return JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as Package;
}
