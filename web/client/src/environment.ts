/** The part of a WebSocket that is needed, as browsers and the package `ws` have it. */
export interface SocketLike {
  readonly bufferedAmount: number;
  readonly readyState: number;
  binaryType: string;
  onopen: ((event: unknown) => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onerror: ((event: unknown) => void) | null;
  onclose: ((event: { code?: number; reason?: unknown }) => void) | null;
  send(data: string | Uint8Array<ArrayBuffer>): void;
  close(code?: number, reason?: string): void;
}

export type SocketConstructor = new (url: string, protocols?: string[]) => SocketLike;

/** A change of the surroundings after which a connection may be dead, or may be had again. */
export type Change = "online" | "offline" | "shown";

/** The clock, timers and network of the place that a client runs in; tests bring their own. */
export interface Environment {
  /** A monotonic clock, in milliseconds. */
  now(): number;
  /** The wall clock: compared with itself alone, to notice that the computer was asleep. */
  wall(): number;
  /** Call once, after so many milliseconds; returns how to take it back. */
  later(milliseconds: number, call: () => void): () => void;
  random(): number;
  /** Tell whether there is a network, as far as is known. */
  online(): boolean;
  /** Hear of changes; returns how to stop. */
  watch(listener: (change: Change) => void): () => void;
}

/** The longest delay that timers take. */
const LONGEST_DELAY_MS = 2 ** 31 - 1;

/** The browser, or Node. A waiting timer does not keep a program of Node's alive; an open socket does. */
export const platformEnvironment: Environment = {
  now: () => performance.now(),
  wall: () => Date.now(),
  random: () => Math.random(),
  later(milliseconds, call) {
    const timer = setTimeout(call, Math.min(Math.max(0, milliseconds), LONGEST_DELAY_MS));
    return () => {
      clearTimeout(timer);
    };
  },
  online: () => globalThis.navigator?.onLine !== false,
  watch(listener) {
    const stopping = new AbortController();
    const listen = (target: EventTarget | undefined, event: string, call: () => void): void => {
      target?.addEventListener?.(event, call, { signal: stopping.signal });
    };
    const page = globalThis.document;
    const onShown = (): void => {
      if (page?.visibilityState !== "hidden") listener("shown");
    };
    listen(globalThis, "online", () => {
      listener("online");
    });
    listen(globalThis, "offline", () => {
      listener("offline");
    });
    listen(globalThis, "pageshow", onShown);
    listen(page, "visibilitychange", onShown);
    listen(page, "resume", onShown);
    return () => {
      stopping.abort();
    };
  },
};

/** The WebSocket to use: the one that was given, the platform's own, or the package `ws`. */
export async function socketConstructor(given: SocketConstructor | undefined): Promise<SocketConstructor> {
  const own = (globalThis as { WebSocket?: unknown }).WebSocket;
  if (given ?? own) return given ?? (own as SocketConstructor);
  const name = "ws"; // a variable: a bundler for browsers is not to look for it
  const loaded = (await import(/* @vite-ignore */ name)) as { WebSocket: SocketConstructor };
  return loaded.WebSocket;
}
