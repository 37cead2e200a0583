/** The client library's side, in Node and in Chromium: `npm run bench -- client`. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { argon2idInNode, createConnectTransport, logIn, registerUser } from '../../src/client/node.ts';
import { browserScript, launchBrowser } from '../../test/support/browser.ts';
import { type Benchmark, type Report, ROUNDS } from '../support/bar.ts';
import { type ClientTimes, clientJob } from '../support/client_job.ts';
import { ServerProcess } from '../support/server_process.ts';
import { median } from '../support/statistics.ts';

const ENTRIES = 10_000;

function tell(report: Report, where: string, rounds: readonly ClientTimes[]): void {
  const of = (name: keyof ClientTimes) => median(rounds.map((round) => round[name])).toFixed(0);
  report.note(
    `${where}: log-in ${of('logIn')} ms, of which Argon2id ${of('argon2id')}; ${ENTRIES} names fetched and opened ${of('names')}; ` +
      `first sync ${of('firstSync')}, later ${of('laterSync')}, of one change ${of('syncOfOne')}`,
  );
}

export const client: Benchmark = {
  names: ['client'],
  onlyNamed: true,
  async run(report) {
    const text = await browserScript(new URL('../../src/client/browser.ts', import.meta.url), {
      minify: true,
    });
    report.note(
      `the library for browsers: ${(text.length / 1024).toFixed(0)} KiB, ${(gzipSync(text, { level: 9 }).length / 1024).toFixed(0)} KiB by gzip, Argon2id included`,
    );
    const pages = createServer((_, response) => {
      response.setHeader('content-type', 'text/html');
      response.end('<!doctype html><title>vault</title>');
    });
    await new Promise<void>((resolve) => pages.listen(0, '127.0.0.1', resolve));
    const origin = `http://localhost:${(pages.address() as AddressInfo).port}`;
    const server = await ServerProcess.start({
      settings: { PASSMANAGER_CORS_ORIGINS: origin, PASSMANAGER_MAX_ENTRIES_PER_USER: '20000' },
    });
    const browser = await launchBrowser();
    try {
      const transport = createConnectTransport({ url: server.httpUrl });
      const account = { username: 'alice@example.com', password: 'correct horse battery staple' };
      await registerUser(transport, account);
      const vault = await logIn(transport, { ...account, maximumRequests: -1 });
      await vault.createMany(
        Array.from({ length: ENTRIES }, (_, index) => ({
          name: `Example ${index}`,
          username: `alice${index}@example.com`,
          password: 'jJ5!xQ0-long-and-random',
          website: `https://www${index}.example.com/login`,
        })),
      );
      vault.close();
      const inNode: ClientTimes[] = [];
      for (let round = -1; round < ROUNDS; round += 1) {
        const times = await clientJob({ logIn, argon2id: argon2idInNode }, transport, account);
        if (round >= 0) inNode.push(times);
      }
      tell(report, 'Node', inNode);
      const page = await browser.newPage();
      await page.goto(origin);
      await page.addScriptTag({
        content: await browserScript(new URL('../support/client_page.ts', import.meta.url)),
      });
      const inPage: ClientTimes[] = [];
      for (let round = -1; round < ROUNDS; round += 1) {
        const times = await page.evaluate(
          ([url, who]) =>
            (
              globalThis as unknown as { clientJob(url: unknown, who: unknown): Promise<ClientTimes> }
            ).clientJob(url, who),
          [server.httpUrl, account] as const,
        );
        if (round >= 0) inPage.push(times);
      }
      tell(report, 'Chromium', inPage);
    } finally {
      await browser.close();
      await server.stop();
      pages.close();
    }
  },
};
