import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { loadConfig } from '../../src/server/config.ts';
import { renderConfigurationDoc, renderSampleFile } from '../../src/server/config_documents.ts';
import { readConfig } from '../../src/server/config_sources.ts';

const committed = (name: string): string =>
  readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8');

describe('the documents of the settings', () => {
  it('are the committed ones', () => {
    expect(committed('configuration.md')).to.equal(renderConfigurationDoc());
    expect(committed('passmanager.sample.toml')).to.equal(renderSampleFile());
  });

  it('have a sample that is the default configuration, as it is and with every line in force', () => {
    const directory = mkdtempSync(join(tmpdir(), 'pm-sample-'));
    try {
      const file = join(directory, 'passmanager.toml');
      for (const sample of [renderSampleFile(), renderSampleFile().replaceAll(/^#(?! )/gm, '')]) {
        writeFileSync(file, sample);
        expect(readConfig({}, directory)).to.deep.equal(loadConfig({}));
      }
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
