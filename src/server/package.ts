/** What the package of this program says of it. Runs on any Node, to tell what is too old. */
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

/** Its package.json. */
export function packageOfProgram(): Package {
  return JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as Package;
}

/** The oldest Node that it runs on, such as `26.5.1`. */
export function oldestNode(): string {
  return packageOfProgram().engines.node.replace('>=', '');
}

/** Whether a version is below another one, by the first three numbers of both. */
export function isBelow(version: string, floor: string): boolean {
  const [has, needs] = [version, floor].map((text) => text.split(/[.-]/).slice(0, 3).map(Number));
  const at = needs!.findIndex((part, index) => part !== has![index]);
  return at >= 0 && !(has![at]! > needs![at]!);
}
