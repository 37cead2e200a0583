/** The documents that are made from the table of settings: docs/configuration.md and the annotated sample of a file. */
import { SETTINGS, type Setting } from './config.ts';
import { CONFIG_VARIABLE, DEFAULT_CONFIG_FILE } from './config_sources.ts';

const settings = (): readonly Setting[] => Object.values(SETTINGS);

/** docs/configuration.md. */
export function renderConfigurationDoc(): string {
  const cell = (text: string): string => text.replaceAll('|', '\\|');
  const rows = settings().map(
    ({ name, byDefault, allowed, description }) =>
      `| \`${name}\` | ${byDefault === '' ? 'none' : cell(byDefault)} | ${cell(allowed)} | ${cell(description)} |`,
  );
  const secrets = settings()
    .filter(({ secret }) => secret)
    .map(({ name }) => `\`${name}\``);
  return `# Configuration

A setting is an environment variable, or a line of a file in TOML: \`PASSMANAGER_GRPC_PORT=50052\` in the environment is
\`grpc_port = 50052\` in the file, without the prefix and in lower case. The environment wins. \`${CONFIG_VARIABLE}\` names
the file; where it is not set, \`${DEFAULT_CONFIG_FILE}\` in the working directory is taken when it is there.
[passmanager.sample.toml](passmanager.sample.toml) has every setting with its default.

In the file, on and off may be written true and false, and a list as an array. What is secret may stand in a file of
its own, whose path the name with \`_FILE\` gives, as \`_file\` does in the file of settings: ${secrets.join(', ')}.

Unknown names and bad values end the start with a message that lists all of them and what is allowed; an empty value
counts as none. \`npx passmanager config\` shows what is in force and where it comes from. This file and the sample are
generated from src/server/config.ts by \`npm run generate:configuration\`.

| name | default | allowed | meaning |
|---|---|---|---|
${rows.join('\n')}

## Clear text

Registration sends the verifier of a password in clear, and requests name their sessions. So the server listens on
another address than a loopback one only with \`PASSMANAGER_TLS_CERT_FILE\` and \`PASSMANAGER_TLS_KEY_FILE\`, or when
\`PASSMANAGER_INSECURE\` is on, which is for a proxy that does TLS in front of it, on a network that nobody else is on.

## Who may register

On a loopback address everybody may by default: whoever is on the machine. On any other, and where
\`PASSMANAGER_TRUSTED_PROXIES\` names a proxy, it takes an invite. A proxy that is not named there cannot be known: set
\`PASSMANAGER_REGISTRATION\` then.
`;
}

/** docs/passmanager.sample.toml: every setting, commented out, with its default. */
export function renderSampleFile(): string {
  const blocks = settings().map(
    ({ name, key, byDefault, allowed, description, parse, secret }) =>
      `# ${description}\n# Allowed: ${allowed}. Environment: ${name}\n#${key} = ${sampleValue(byDefault, parse)}\n${
        secret ? `# Or the path of a file that holds it. Environment: ${name}_FILE\n#${key}_file = ""\n` : ''
      }`,
  );
  return `# A configuration file of passmanager: every setting with its default. Take away the # before a setting to change it.
# Generated from src/server/config.ts by: npm run generate:configuration

${blocks.join('\n')}`;
}

/** The default as TOML; a default that is a rule and no value is left open. */
function sampleValue(byDefault: string, parse: Setting['parse']): string {
  if (byDefault === '') return '""';
  let value: unknown;
  try {
    value = parse(byDefault);
  } catch {
    return `""   # by default: ${byDefault}`;
  }
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : JSON.stringify(byDefault);
}
