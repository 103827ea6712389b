/** When the client does what, and how much it keeps. All times in milliseconds. */
export interface ClientSettings {
  /** Without acknowledgement for so long, text or an answer is sent again; it is acknowledged once committed. */
  readonly textTimeout: number;
  /** The same for images, whose parts are acknowledged together. */
  readonly imageTimeout: number;
  /** The same for audio, which is acknowledged when the turn it belongs to is committed. */
  readonly audioTimeout: number;
  /** Factor on the timeout for each time a frame was sent again. */
  readonly backoff: number;
  /** The end of the backoff. */
  readonly longestTimeout: number;
  /** The timeout of audio that has arrived: longer than a holder keeps audio without an answer. */
  readonly arrivedTimeout: number;
  /** Frames a second, first sendings and repeats together. */
  readonly rate: number;
  /** Frames that may go at once after a pause. */
  readonly burst: number;
  /** Unacknowledged audio that is kept, in characters of base64 (30 s at 24 kHz); beyond it the oldest is given up. */
  readonly audioBytes: number;
  /** Unacknowledged text and images that are kept, in characters; beyond it nothing more is taken. */
  readonly lastingBytes: number;
  /** For the first `ready`. */
  readonly readyTimeout: number;
  /** Between two hellos that were not answered, at first; it grows by half each time. */
  readonly helloInterval: number;
  /** The longest that it grows to. */
  readonly longestHelloInterval: number;
  /** Two hellos are never closer together. */
  readonly shortestHelloInterval: number;
  /** The time that a frame of the server waits for those before it. */
  readonly gapPatience: number;
  /** The time that journal content that was shown may go unacknowledged; acknowledgements add up. */
  readonly ackDelay: number;
  /** No input for so long after the server said that it is busy, or that this is too fast. */
  readonly busyPause: number;
  /** Without an answer for so long, a page of the history is asked for again; doubled with each time. */
  readonly historyTimeout: number;
  /** A ping goes after so long without a word: API Gateway ends a connection after ten idle minutes. */
  readonly pingInterval: number;
  /** When something was said and nothing heard for so long, a ping asks for a sign of life. */
  readonly silenceTimeout: number;
  /** A connection that is silent for so long after a ping is given up; after half of it, the client asks once more. */
  readonly pongTimeout: number;
  /**
   * On a direct connection, input that is not confirmed, or a hello that nothing answers, for so long opens the next one
   * beside it; longer on a slow path, and doubled each time in a row.
   */
  readonly receivedTimeout: number;
  /** After so long the next connection is opened beside the present one: API Gateway ends each after two hours. */
  readonly connectionLifetime: number;
  /** Up to this part of the lifetime is taken off by chance, so that clients that came together part. */
  readonly lifetimeJitter: number;
  /** The time that the old connection is still listened to once the new one has taken over. */
  readonly overlap: number;
  /** For one attempt to connect. */
  readonly connectTimeout: number;
  /** The longest after a direct connection, where the first in a row has `receivedTimeout`: a worker may hang. */
  readonly directConnectTimeout: number;
  /** The longest pause before the first new attempt; doubled for each after it, with full jitter. */
  readonly firstBackoff: number;
  /** The longest that it grows to. */
  readonly longestBackoff: number;
  /** Without a connection for so long the client ends. Time offline, and time asleep, does not count. */
  readonly giveUpAfter: number;
  /** For a clean end. */
  readonly closeTimeout: number;
  /** Events that wait for `events()`; beyond it the oldest audio and partial transcripts are dropped. */
  readonly eventCapacity: number;
  /** Journal content and errors that wait for `events()`, never dropped; beyond it the client ends. */
  readonly lastingCapacity: number;
  /** The bytes that all of these take at most; beyond it the same happens. */
  readonly eventBytes: number;
}

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
