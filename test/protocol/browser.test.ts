import { readFile } from 'node:fs/promises';
import { expect } from 'chai';
import type { Browser, Page } from 'playwright-core';
import { browserScript, launchBrowser, openBlankPage } from '../support/browser.ts';

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
    const content = await browserScript(new URL('./browser_entry.ts', import.meta.url));
    browser = await launchBrowser();
    page = await openBlankPage(browser, (error) => uncaught.push(error));
    await page.addScriptTag({ content });
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
