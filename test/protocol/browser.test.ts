import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { build } from 'esbuild';
import type { Browser, Page } from 'playwright-core';
import { launchBrowser, openBlankPage } from '../support/browser.ts';

/** Runs the bundled entry's `verify` in the page. */
const verifyIn = (page: Page, json: string): Promise<string> =>
  page.evaluate(
    (text) => (globalThis as unknown as { verify(json: string): Promise<string> }).verify(text),
    json,
  );

describe('the protocol in a browser', () => {
  const uncaught: Error[] = [];
  let browser: Browser;
  let page: Page;
  let json: string;

  before(async function () {
    this.timeout(60_000);
    json = await readFile(new URL('../vectors/protocol-v1.json', import.meta.url), 'utf8');
    const bundle = await build({
      entryPoints: [fileURLToPath(new URL('./browser_entry.ts', import.meta.url))],
      bundle: true,
      // A node: module anywhere in it would fail the build.
      platform: 'browser',
      format: 'iife',
      target: 'es2022',
      write: false,
      logLevel: 'silent',
    });
    browser = await launchBrowser();
    page = await openBlankPage(browser, (error) => uncaught.push(error));
    await page.addScriptTag({ content: bundle.outputFiles[0]!.text });
  });

  after(() => browser?.close());

  it('notices a wrong digit', async () => {
    const vectors = JSON.parse(json);
    vectors.logins.at(-1).M2 = '00'.repeat(32);
    vectors.logins = vectors.logins.slice(-1);
    expect(await verifyIn(page, JSON.stringify(vectors))).to.match(/vector \.logins\[0\]\.M2/);
  }).timeout(60_000);

  it('computes every known answer', async () => {
    expect(await verifyIn(page, json)).to.equal('verified');
    expect(uncaught).to.deep.equal([]);
  }).timeout(60_000);
});
