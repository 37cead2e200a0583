/** What every command is run with. */
import type { Config } from '../server/config.ts';
import {
  type EffectiveSetting,
  effectiveSettings,
  readConfig,
  secretFiles,
} from '../server/config_sources.ts';
import type { Terminal } from './terminal.ts';

/** Variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The terminal, the environment, and how the command ends. */
export class CliContext {
  readonly terminal: Terminal;
  readonly environment: Environment;
  #exitCode = 0;

  constructor(terminal: Terminal, environment: Environment) {
    this.terminal = terminal;
    this.environment = environment;
  }

  /** The configuration in force. Throws ConfigError. */
  config(): Config {
    return readConfig(this.environment);
  }

  /** Every setting in force. Throws ConfigError. */
  settings(): readonly EffectiveSetting[] {
    return effectiveSettings(this.environment);
  }

  /** The files that secret settings were read from. Throws ConfigError. */
  secretFiles(): readonly string[] {
    return secretFiles(this.environment);
  }

  /** Prints `value` for a program, or what `human` makes of it for a person. */
  print<T>(value: T, json: boolean | undefined, human: (value: T) => string | readonly string[]): void {
    const text = json === true ? JSON.stringify(value, undefined, 2) : human(value);
    for (const line of typeof text === 'string' ? [text] : text) this.terminal.say(line);
  }

  /** What the process ends with where nothing is thrown. */
  get exitCode(): number {
    return this.#exitCode;
  }

  set exitCode(code: number) {
    this.#exitCode = code;
  }
}
