/**
 * Where settings come from: the environment, a file in TOML, and files that hold one secret each. The environment wins over
 * the file. Reads files, and nothing else.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parse, TomlError } from 'smol-toml';
import { type Config, ConfigError, loadConfig, SETTINGS, type Setting } from './config.ts';

/** The variable that names the configuration file. */
export const CONFIG_VARIABLE = 'PASSMANAGER_CONFIG';

/** The configuration file where no variable names one: this, in the working directory, when it is there. */
export const DEFAULT_CONFIG_FILE = 'passmanager.toml';

type Environment = Readonly<Record<string, string | undefined>>;

/** The texts of all settings that were given, and where each comes from. */
export interface SettingSources {
  /** By the name of the variable, for loadConfig. */
  readonly texts: Readonly<Record<string, string>>;
  /** Where each of them was said, by the name of the variable. */
  readonly origins: ReadonlyMap<string, string>;
  /** The configuration file; undefined: there is none. */
  readonly file: string | undefined;
}

/** A setting that was given, or its default. */
export interface EffectiveSetting {
  readonly name: string;
  readonly key: string;
  /** None: empty. A secret is hidden. */
  readonly value: string;
  /** `default`, `environment`, or the path of a file. */
  readonly origin: string;
}

const HIDDEN = '(hidden)';

/** The origin of what the environment says. */
const ENVIRONMENT = 'environment';

const settings = (): readonly Setting[] => Object.values(SETTINGS);

const secrets = (): readonly Setting[] => settings().filter(({ secret }) => secret);

/** What gives the path of a file with the secret of this name. */
const fileOf = (name: string): string => `${name}_FILE`;

/** Settings by the names of their variables; those of files of secrets, too. */
type Texts = Record<string, string | undefined>;

/** The configuration of an environment and the files that it names. Throws ConfigError with everything that is wrong. */
export function readConfig(environment: Environment, workingDirectory = process.cwd()): Config {
  return read(environment, workingDirectory).config;
}

/** Every setting as it is in force, in the order of the document, secrets hidden. Throws as readConfig does. */
export function effectiveSettings(
  environment: Environment,
  workingDirectory = process.cwd(),
): readonly EffectiveSetting[] {
  const { texts, origins } = read(environment, workingDirectory);
  return settings().map(({ name, key, byDefault, secret }) => {
    const text = texts[name];
    if (text === undefined || text === '') return { name, key, value: byDefault, origin: 'default' };
    return { name, key, value: secret ? HIDDEN : text, origin: origins.get(name)! };
  });
}

/** The files that secrets were read from: of their own, or that of the settings. Throws as readConfig does. */
export function secretFiles(environment: Environment, workingDirectory = process.cwd()): readonly string[] {
  const { origins } = read(environment, workingDirectory);
  const files = secrets()
    .map(({ name }) => origins.get(name) ?? ENVIRONMENT)
    .filter((origin) => origin !== ENVIRONMENT);
  return [...new Set(files.map((file) => resolve(workingDirectory, file)))];
}

function read(environment: Environment, workingDirectory: string): SettingSources & { config: Config } {
  const problems: string[] = [];
  const sources = collectSources(environment, workingDirectory, problems);
  const labels = new Map(
    [...sources.origins]
      .filter(([, origin]) => origin === sources.file)
      .map(([name, origin]) => [name, `${keyOf(name)} in ${origin}`]),
  );
  try {
    const config = loadConfig(sources.texts, labels);
    if (problems.length > 0) throw new ConfigError(problems);
    return { ...sources, config };
  } catch (error) {
    if (!(error instanceof ConfigError) || problems.length === 0 || error.problems === problems) throw error;
    throw new ConfigError([...problems, ...error.problems]);
  }
}

const keyOf = (name: string): string => name.slice('PASSMANAGER_'.length).toLowerCase();

function collectSources(
  environment: Environment,
  workingDirectory: string,
  problems: string[],
): SettingSources {
  const file = configFileOf(environment, workingDirectory);
  const inFile: Texts = Object.fromEntries(file === undefined ? [] : readTomlFile(file, problems));
  const inEnvironment: Texts = Object.fromEntries(
    Object.entries(environment).filter(
      ([name, text]) => name.startsWith('PASSMANAGER_') && name !== CONFIG_VARIABLE && (text ?? '') !== '',
    ),
  );
  const texts: Record<string, string> = {};
  const origins = new Map<string, string>();
  const take = (given: Texts, origin: string, labelOf: (name: string) => string): void => {
    for (const { name } of secrets()) {
      const path = given[fileOf(name)];
      delete given[fileOf(name)];
      if (path === undefined) continue;
      if (given[name] !== undefined) {
        problems.push(`${labelOf(name)} and ${labelOf(fileOf(name))} say the same thing: set one of them`);
        continue;
      }
      try {
        texts[name] = readFileSync(resolve(workingDirectory, path), 'utf8').trim();
        origins.set(name, path);
      } catch (error) {
        problems.push(`${labelOf(fileOf(name))} names ${path}, which cannot be read (${codeOf(error)})`);
      }
    }
    for (const [name, text] of Object.entries(given)) {
      texts[name] = text!;
      origins.set(name, origin);
    }
  };
  if (file !== undefined) {
    // The environment wins, in whichever of the two ways it says a secret.
    for (const { name } of secrets()) {
      if ((inEnvironment[name] ?? inEnvironment[fileOf(name)]) === undefined) continue;
      delete inFile[name];
      delete inFile[fileOf(name)];
    }
    take(inFile, file, (name) => `${keyOf(name)} in ${file}`);
  }
  take(inEnvironment, ENVIRONMENT, (name) => name);
  return { texts, origins, file };
}

function configFileOf(environment: Environment, workingDirectory: string): string | undefined {
  const named = environment[CONFIG_VARIABLE];
  if (named !== undefined && named !== '') return resolve(workingDirectory, named);
  const usual = join(workingDirectory, DEFAULT_CONFIG_FILE);
  return existsSync(usual) ? usual : undefined;
}

/** The settings of a file as texts. What is wrong with the file goes to `problems`; values are never repeated there. */
function readTomlFile(path: string, problems: string[]): readonly (readonly [string, string])[] {
  let table: Record<string, unknown>;
  try {
    table = parse(readFileSync(path, 'utf8'));
  } catch (error) {
    problems.push(
      error instanceof TomlError
        ? `${path} is not TOML: line ${error.line}, column ${error.column}`
        : `${path} cannot be read (${codeOf(error)})`,
    );
    return [];
  }
  const byKey = new Map([
    ...settings().map(({ key, name, allowed }) => [key, { name, allowed }] as const),
    ...secrets().map(({ key, name }) => [`${key}_file`, { name: fileOf(name), allowed: 'a path' }] as const),
  ]);
  return Object.entries(table).flatMap(([key, value]) => {
    const setting = byKey.get(key);
    const text = textOf(value);
    if (setting === undefined) {
      problems.push(`${key} in ${path} is not a setting (docs/configuration.md lists them)`);
    } else if (text === undefined) {
      problems.push(`${key} in ${path} takes ${setting.allowed}`);
    } else if (text !== '') {
      return [[setting.name, text] as const];
    }
    return [];
  });
}

/** What a variable would say; undefined for what no variable can. */
function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return String(value);
  if (typeof value === 'boolean') return value ? 'on' : 'off';
  if (Array.isArray(value) && value.every((each) => typeof each === 'string')) return value.join(',');
  return undefined;
}

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? 'unreadable';
