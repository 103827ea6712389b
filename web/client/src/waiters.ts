import type { Environment } from "./environment.js";

/** Callers that wait until something is true of a conversation. */
export class Waiters {
  private readonly waiting = new Set<() => void>();

  /** `whyEnded`: the error by which the conversation has ended; undefined while it goes on. */
  constructor(
    private readonly environment: Environment,
    private readonly whyEnded: () => Error | undefined,
  ) {}

  /** Something has changed: look at every condition again. */
  look(): void {
    for (const look of [...this.waiting]) look();
  }

  /**
   * Wait until a condition is true. Rejects with `late()` when that takes longer than `timeout` milliseconds, and with the
   * error by which the conversation has ended.
   */
  async until(condition: () => boolean, timeout: number, late: () => Error): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      let cancel = (): void => undefined;
      const settle = (outcome: () => void): void => {
        cancel();
        this.waiting.delete(look);
        outcome();
      };
      const fail = (error: Error): void => {
        settle(() => {
          reject(error);
        });
      };
      const look = (): void => {
        if (condition()) {
          settle(resolve);
          return;
        }
        const ended = this.whyEnded();
        if (ended) fail(ended);
      };
      this.waiting.add(look);
      if (timeout !== Infinity) {
        cancel = this.environment.later(timeout, () => {
          fail(late());
        });
      }
      look();
    });
  }
}
