/** `npm run generate:configuration` writes docs/configuration.md and docs/passmanager.sample.toml anew. */
import { writeFileSync } from 'node:fs';
import { renderConfigurationDoc, renderSampleFile } from '../../src/server/config_documents.ts';

const docs = new URL('../../docs/', import.meta.url);
writeFileSync(new URL('configuration.md', docs), renderConfigurationDoc());
writeFileSync(new URL('passmanager.sample.toml', docs), renderSampleFile());
