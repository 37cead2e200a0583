import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import type { Browser, Page } from 'playwright-core';
import { browserScript, launchBrowser } from '../support/browser.ts';
import { startTestServer, type TestServer } from '../support/test_server.ts';

/**
 * A page of another origin than the server's, in a secure context. It comes from a loopback address: Chromium lets no other
 * page call one.
 */
function servePage(): Promise<Server> {
  const server = createServer((_request, response) => {
    response.setHeader('content-type', 'text/html');
    response.setHeader('content-security-policy', "script-src 'unsafe-inline' 'wasm-unsafe-eval'");
    response.end('<!doctype html><title>vault</title>');
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

describe('the client in a browser', () => {
  const uncaught: Error[] = [];
  let pages: Server;
  let server: TestServer;
  let browser: Browser;
  let page: Page;

  before(async function () {
    this.timeout(60_000);
    pages = await servePage();
    const origin = `http://localhost:${(pages.address() as AddressInfo).port}`;
    server = await startTestServer({ settings: { PASSMANAGER_CORS_ORIGINS: origin } });
    const content = await browserScript(new URL('./browser_entry.ts', import.meta.url));
    browser = await launchBrowser();
    page = await browser.newPage();
    page.on('pageerror', (error) => uncaught.push(error));
    await page.goto(origin);
    await page.addScriptTag({ content });
  });

  after(async () => {
    await browser?.close();
    await server?.stop();
    pages?.close();
  });

  for (const protocol of ['connect', 'grpc-web']) {
    it(`does its job over ${protocol}, from another origin`, async () => {
      const result = await page.evaluate(
        ([url, name]) =>
          (globalThis as unknown as { playThrough(url: string, name: string): Promise<unknown> }).playThrough(
            url!,
            name!,
          ),
        [server.httpUrl, protocol],
      );
      expect(result).to.deep.equal({
        wrong: 'wrong_credentials',
        missing: ['entry_not_found', true],
        revisions: [1, 2],
        password: 'geheimer',
      });
      expect(uncaught).to.deep.equal([]);
    }).timeout(60_000);
  }
});
