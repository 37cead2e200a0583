/** Watching: the vault's revision whenever it moves, over as many streams as it takes. */
import { ErrorCode } from '../../gen/passmanager/common/v1/error_pb.ts';
import type { Platform } from './platform.ts';
import { RPC } from './sealed_rpcs.ts';
import { SessionSpentError } from './sealed_session.ts';
import { CallFailure } from './server_failure.ts';
import type { SessionKeeper } from './session_keeper.ts';

/** How long a stream may be silent before it counts as dead: three heartbeats of 30 seconds. */
export const SILENCE_LIMIT_MS = 90_000;
/** The longest wait before watching again, in milliseconds. */
const LONGEST_WAIT_MS = 30_000;

/** The vault may have moved: sync. */
export interface WatchEvent {
  readonly revision: bigint;
}

/**
 * Yields once at the start and after every new beginning, and whenever the revision moves. Ends when the signal is aborted; a
 * stream that breaks, falls silent or is ended by the server is opened again. Throws what ends the vault itself:
 * SessionEndedError, WrongCredentialsError, PasswordChangedError, ClosedError, UntrustedAnswerError.
 */
export async function* watchVault(
  keeper: SessionKeeper,
  platform: Platform,
  signal: AbortSignal,
  silenceLimitMs: number = SILENCE_LIMIT_MS,
): AsyncGenerator<WatchEvent, void> {
  for (let failures = 0; !signal.aborted; ) {
    let last: bigint | undefined;
    const watchdog = new Watchdog(signal, silenceLimitMs);
    try {
      for await (const { revision } of keeper.stream(RPC.watchEntries, {}, watchdog.signal)) {
        watchdog.alive();
        failures = 0;
        if (revision !== last) {
          last = revision;
          yield { revision };
          watchdog.alive();
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!watchdog.isDead && !(error instanceof CallFailure) && !(error instanceof SessionSpentError))
        throw error;
      const wait = backOff(failures, error, platform.random(1)[0]! / 256);
      failures += 1;
      await platform.sleep(wait, signal).catch(() => undefined);
    } finally {
      watchdog.stop();
    }
  }
}

function backOff(failures: number, error: unknown, chance: number): number {
  const isChanging =
    error instanceof CallFailure && error.errorCode === ErrorCode.PASSWORD_CHANGE_IN_PROGRESS;
  return (
    Math.min(LONGEST_WAIT_MS, (isChanging ? 5_000 : 200) * 2 ** Math.min(failures, 10)) * (0.5 + chance / 2)
  );
}

/** Aborts its signal when nothing was heard for so long, or when the outer one is aborted. */
class Watchdog {
  readonly #controller = new AbortController();
  readonly #limitMs: number;
  readonly #outer: AbortSignal;
  readonly #onOuter = () => this.#controller.abort(this.#outer.reason);
  #timer: ReturnType<typeof setTimeout> | undefined;
  isDead = false;

  constructor(outer: AbortSignal, limitMs: number) {
    this.#outer = outer;
    this.#limitMs = limitMs;
    outer.addEventListener('abort', this.#onOuter, { once: true });
    this.alive();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  alive(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.isDead = true;
      this.#controller.abort(new Error('no heartbeat'));
    }, this.#limitMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#outer.removeEventListener('abort', this.#onOuter);
    this.#controller.abort(new Error('watching ended'));
  }
}
