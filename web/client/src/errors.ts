// Errors of the client, each with the program's next step.
//
// SegueError
// ├── ClientError
// │   ├── HandshakeRefused   the server refuses this caller: fix the credentials or the address
// │   ├── SessionRefused     the server does not give this caller this session: see the code; use a new client
// │   ├── NotReady           no holder has said ready in time: try again later
// │   ├── ConnectionLost     no connection for too long: try again later with a new client
// │   ├── EventsNotRead      too many events wait unread: iterate over events()
// │   └── ClientClosed       the client was closed: use a new one
// ├── TimedOut               `flush`, `ping` or `history` exceeded its timeout: wait on, or give up
// ├── SenderFull             too much text is unacknowledged: wait (`flush`), then send it again
// ├── FrameError             the input cannot be sent as it is; nothing was taken
// └── AudioError             see audio/errors.ts

/** Base of all errors of this library. */
export class SegueError extends Error {
  override get name(): string {
    return this.constructor.name;
  }
}

/** Base of the errors that end the client. */
export class ClientError extends SegueError {}

/** The server refuses the connection. Fix the credentials or the address. Browsers hide the status. */
export class HandshakeRefused extends ClientError {
  constructor(readonly status: number) {
    const fault = status === 401 || status === 403 ? "the credentials are missing, wrong or expired" : "check the address";
    super(`the server refuses the connection with status ${status}: ${fault}`);
  }
}

/** The server refuses this client for good. See `code`; use a new client. */
export class SessionRefused extends ClientError {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(`${code}: ${message}`);
  }
}

/** The session was not ready in time. Try again later. */
export class NotReady extends ClientError {}

/** No connection for too long. Unacknowledged input may have no effect. Try again later with a new client. */
export class ConnectionLost extends ClientError {}

/** Too many events wait unread: iterate over `events()`. */
export class EventsNotRead extends ClientError {}

/** The client was closed. Use a new one. */
export class ClientClosed extends ClientError {}

/** A call exceeded its timeout. The client goes on. */
export class TimedOut extends SegueError {}

/** Too much text or image is unacknowledged, and nothing was taken: `flush`, then send it again. */
export class SenderFull extends SegueError {}

/** The server would refuse this input; nothing was taken. */
export class FrameError extends SegueError {
  constructor(
    readonly code: "oversize" | "bad_frame",
    message: string,
  ) {
    super(message);
  }
}
