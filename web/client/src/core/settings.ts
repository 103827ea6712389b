/** Times and limits of a client. Times are in milliseconds. */
export interface ClientSettings {
  /** Until text or an answer without acknowledgement is sent again; a commit acknowledges it. */
  readonly textTimeout: number;
  /** Until an image is sent again; its parts are acknowledged together. */
  readonly imageTimeout: number;
  /** Until audio is sent again; the commit of its turn acknowledges it. */
  readonly audioTimeout: number;
  /** Factor on the timeout for each repeat of a frame. */
  readonly backoff: number;
  /** Longest timeout of the backoff. */
  readonly longestTimeout: number;
  /** Timeout of audio that has arrived: longer than a holder keeps audio without an answer. */
  readonly arrivedTimeout: number;
  /** Pace of sending, in frames a second, repeats included. */
  readonly rate: number;
  /** Burst after a pause, in frames. */
  readonly burst: number;
  /** Unacknowledged audio at most, in characters of base64 (30 s at 24 kHz); beyond it the oldest is given up. */
  readonly audioBytes: number;
  /** Unacknowledged text and images at most, in characters; beyond it `SenderFull` is thrown. */
  readonly lastingBytes: number;
  /** Until `whenReady` rejects with `NotReady`. */
  readonly readyTimeout: number;
  /** Between two unanswered hellos at first; it grows by half each time. */
  readonly helloInterval: number;
  /** Between two unanswered hellos at most. */
  readonly longestHelloInterval: number;
  /** Between two hellos at least. */
  readonly shortestHelloInterval: number;
  /** Until a missing server frame is given up, and the later ones are shown. */
  readonly gapPatience: number;
  /** Until shown journal content is acknowledged; acknowledgements add up. */
  readonly ackDelay: number;
  /** Without input after the server said `busy` or `too_fast`. */
  readonly busyPause: number;
  /** Until a page of the history is requested again; doubled each time. */
  readonly historyTimeout: number;
  /** Without sending until a ping: API Gateway ends a connection after ten idle minutes. */
  readonly pingInterval: number;
  /** Without an answer to sent frames until a ping checks the connection. */
  readonly silenceTimeout: number;
  /** From a ping without an answer until the connection is given up; a second ping goes after half of it. */
  readonly pongTimeout: number;
  /**
   * Until unconfirmed input or an unanswered hello opens a renewal, on a direct connection; longer on a slow path, and
   * doubled each time in a row.
   */
  readonly receivedTimeout: number;
  /** Age of a connection at which its renewal is opened: API Gateway ends each after two hours. */
  readonly connectionLifetime: number;
  /** Random part of the lifetime taken off at most, so that clients that came together part. */
  readonly lifetimeJitter: number;
  /** Until a replaced connection is closed; its output is still received. */
  readonly overlap: number;
  /** For one attempt to connect. */
  readonly connectTimeout: number;
  /**
   * For one attempt after a direct connection at most, since a worker may hang; the first in a row has
   * `receivedTimeout`.
   */
  readonly directConnectTimeout: number;
  /** Longest pause before the first new attempt; doubled for each after it, with full jitter. */
  readonly firstBackoff: number;
  /** Longest pause between attempts. */
  readonly longestBackoff: number;
  /** Without a connection until the client ends with `ConnectionLost`; time offline or asleep does not count. */
  readonly giveUpAfter: number;
  /** For a clean end. */
  readonly closeTimeout: number;
  /** Events that wait for `events()` at most; beyond it the oldest audio and partial transcripts are dropped. */
  readonly eventCapacity: number;
  /**
   * Journal content and errors that wait for `events()` at most; none is dropped, beyond it the client ends with
   * `EventsNotRead`.
   */
  readonly lastingCapacity: number;
  /** Bytes of all waiting events at most; beyond it as for the two limits above. */
  readonly eventBytes: number;
}

/** The settings of a conversation that gives no others. */
export const DEFAULTS: ClientSettings = {
  textTimeout: 2_000,
  imageTimeout: 10_000,
  audioTimeout: 6_000,
  backoff: 2,
  longestTimeout: 30_000,
  arrivedTimeout: 40_000,
  rate: 100,
  burst: 25,
  audioBytes: 2_000_000,
  lastingBytes: 16_000_000,
  readyTimeout: 30_000,
  helloInterval: 2_000,
  longestHelloInterval: 6_000,
  shortestHelloInterval: 250,
  gapPatience: 500,
  ackDelay: 1_000,
  busyPause: 1_000,
  historyTimeout: 2_000,
  pingInterval: 240_000,
  silenceTimeout: 10_000,
  pongTimeout: 5_000,
  receivedTimeout: 1_500,
  connectionLifetime: 110 * 60_000,
  lifetimeJitter: 0.1,
  overlap: 1_000,
  connectTimeout: 10_000,
  directConnectTimeout: 3_000,
  firstBackoff: 250,
  longestBackoff: 10_000,
  giveUpAfter: 300_000,
  closeTimeout: 2_000,
  eventCapacity: 4_096,
  lastingCapacity: 65_536,
  eventBytes: 64 * 1024 * 1024,
};
