/** The members of a WebSocket that a client uses, in browsers and in the package `ws`. */
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

/** A WebSocket class. */
export type SocketConstructor = new (url: string, protocols?: string[]) => SocketLike;

/** A change after which a connection may be dead, or possible again; `shown`: the page became visible. */
export type Change = "online" | "offline" | "shown";

/** Clock, timers and network of a client; tests bring their own. */
export interface Environment {
  /** Return the monotonic clock's milliseconds. */
  now(): number;
  /** Return the wall clock's milliseconds; only differences are used, to notice that the computer slept. */
  wall(): number;
  /** Call a function once after some milliseconds. Returns a function that cancels it. */
  later(milliseconds: number, call: () => void): () => void;
  random(): number;
  /** Tell whether there is a network, as far as is known. */
  online(): boolean;
  /** Add a listener for changes. Returns a function that removes it. */
  watch(listener: (change: Change) => void): () => void;
}

/** Milliseconds of the longest delay that timers take; a longer one would run at once. */
const LONGEST_DELAY_MS = 2 ** 31 - 1;

/** Environment of a browser or of Node. A waiting timer keeps no Node program alive; an open socket does. */
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

/** Return the WebSocket class: the given one, the platform's, or that of the package `ws`. */
export async function socketConstructor(given: SocketConstructor | undefined): Promise<SocketConstructor> {
  const own = (globalThis as { WebSocket?: unknown }).WebSocket;
  if (given ?? own) return given ?? (own as SocketConstructor);
  const name = "ws"; // a variable, so that bundlers for browsers do not include it
  const loaded = (await import(/* @vite-ignore */ name)) as { WebSocket: SocketConstructor };
  return loaded.WebSocket;
}
