/** The streams that a door has open, so that a stop ends all of them, and those that begin after it at once. */
export class OpenStreams {
  readonly #open = new Set<AbortController>();
  #ended = false;

  /** Takes a stream in: its signal is aborted by abortAll(), before or after this. */
  open(): AbortController {
    const controller = new AbortController();
    if (this.#ended) controller.abort();
    else this.#open.add(controller);
    return controller;
  }

  /** The stream is over. */
  close(controller: AbortController): void {
    this.#open.delete(controller);
  }

  /** Ends every stream. */
  abortAll(): void {
    this.#ended = true;
    for (const controller of this.#open) controller.abort();
    this.#open.clear();
  }
}
