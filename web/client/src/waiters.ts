import type { Environment } from "./environment.js";

/** Callers that wait for a condition of a conversation. */
export class Waiters {
  private readonly waiting = new Set<() => void>();

  /** `endError`: returns the error by which the conversation has ended; undefined while it goes on. */
  constructor(
    private readonly environment: Environment,
    private readonly endError: () => Error | undefined,
  ) {}

  /** Check every condition again, after a change. */
  checkAll(): void {
    for (const check of [...this.waiting]) check();
  }

  /**
   * Wait until a condition is true. Rejects with `timeoutError()` after `timeout` milliseconds, and with the error by
   * which the conversation has ended.
   */
  async until(condition: () => boolean, timeout: number, timeoutError: () => Error): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      let cancel = (): void => undefined;
      const settle = (outcome: () => void): void => {
        cancel();
        this.waiting.delete(check);
        outcome();
      };
      const fail = (error: Error): void => {
        settle(() => {
          reject(error);
        });
      };
      const check = (): void => {
        if (condition()) {
          settle(resolve);
          return;
        }
        const ended = this.endError();
        if (ended) fail(ended);
      };
      this.waiting.add(check);
      if (timeout !== Infinity) {
        cancel = this.environment.later(timeout, () => {
          fail(timeoutError());
        });
      }
      check();
    });
  }
}
