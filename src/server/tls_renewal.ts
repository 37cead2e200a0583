/** Keeps the certificate that the doors show that of its files: short-lived ones are renewed while the server serves. */
import type { Config } from './config.ts';
import type { Logger } from './log.ts';
import { readTlsFiles, type TlsIdentity } from './tls.ts';

/** How often the files are read, in milliseconds. */
const TLS_RENEWAL_MS = 60_000;

/** Looks at the files at an interval, and when it is told to. */
export class TlsRenewal {
  readonly #files: NonNullable<Config['tls']>;
  readonly #show: (identity: TlsIdentity) => void;
  readonly #log: Logger;
  #shown: TlsIdentity;
  /** Of the newest look that failed: it is told once. */
  #problem = '';
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();

  /** `shown`: what the doors show now. `show`: has them show another one from the next handshake on, or throws. */
  constructor(
    files: NonNullable<Config['tls']>,
    parts: { shown: TlsIdentity; show: (identity: TlsIdentity) => void; log: Logger },
  ) {
    this.#files = files;
    this.#shown = parts.shown;
    this.#show = parts.show;
    this.#log = parts.log;
  }

  /** Looks at every interval. */
  start(intervalMs = TLS_RENEWAL_MS): void {
    this.#timer = setInterval(() => void this.run(), intervalMs);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Looks once. Never rejects: where the files are no good, or not both there yet, the doors show what they did. */
  run(): Promise<void> {
    // One after another: each change is taken once.
    this.#running = this.#running.then(() => this.#look());
    return this.#running;
  }

  async #look(): Promise<void> {
    try {
      const read = await readTlsFiles(this.#files.certificateFile, this.#files.keyFile);
      const { certificateChain, privateKey } = this.#shown;
      if (!read.certificateChain.equals(certificateChain) || !read.privateKey.equals(privateKey)) {
        this.#show(read);
        this.#shown = read;
        this.#log.info('another certificate is shown from now on');
      }
      this.#problem = '';
    } catch (error) {
      const problem = String(error);
      if (problem === this.#problem) return;
      this.#problem = problem;
      this.#log.error({ err: error }, 'the new certificate is no good; the one before is still shown');
    }
  }
}
