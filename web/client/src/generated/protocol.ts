// Made from docs/protocol.asyncapi.json by client/scripts/types.mjs (npm run types). Do not edit.

/** Binding of a connection to a session. Repeated until `Ready` comes; the first frame of every connection. */
export interface Hello {
  readonly type: "hello";
  readonly trace?: string;
  readonly session: string;
  readonly client_id: string;
  readonly connection: number;
  readonly last_record?: number;
  readonly modality?: "text" | "voice";
  readonly approvals?: boolean;
  readonly history?: boolean;
  readonly binary?: boolean;
}

/** Something typed. Without `seq` it is taken as it comes, with no promise. */
export interface TextInput {
  readonly type: "text";
  readonly trace?: string;
  readonly text: string;
  readonly seq?: number;
  readonly last_record?: number;
}

/** A piece of speech: base64 of little-endian PCM16 mono at the rate that `Ready` names. An empty one has a number and nothing to hear: the client has given the piece up, and what follows must not wait. With `silence` it is a marker: the microphone is silent from here on, and the holder gives the model silence. */
export interface AudioInput {
  readonly type: "audio";
  readonly trace?: string;
  readonly audio: string;
  readonly seq?: number;
  readonly silence?: boolean;
}

/** A part of an image: base64 of its bytes. Parts go in order, with numbers of their own; see `ImageAssembler`. */
export interface ImageInput {
  readonly type: "image";
  readonly trace?: string;
  readonly image: string;
  readonly media_type: "image/gif" | "image/jpeg" | "image/png" | "image/webp";
  readonly part: number;
  readonly parts: number;
  readonly seq?: number;
}

/** The answer to an `Approval`: to all its requests together. */
export interface AnswerInput {
  readonly type: "answer";
  readonly trace?: string;
  readonly approval: number;
  readonly responses: readonly Response[];
  readonly seq?: number;
  readonly last_record?: number;
}

/** The answer to one request of an `Approval`. */
export interface Response {
  readonly id: string;
  readonly response: unknown;
}

/** Acknowledgement of all server frames of `epoch` up to `seq`: they have arrived or been given up. */
export interface OutputAck {
  readonly type: "ack";
  readonly trace?: string;
  readonly epoch: number;
  readonly seq: number;
  readonly played?: Played;
}

/** The end of what a client has played of one epoch's audio. */
export interface Played {
  readonly seq: number;
  readonly ms: number;
}

/** Request for a page of the conversation so far, a `HistoryOutput`. */
export interface HistoryRequest {
  readonly type: "history";
  readonly trace?: string;
  readonly before?: number;
  readonly last_record?: number;
}

/** Keep-alive of the connection; the gateway itself answers `Pong`. */
export interface Ping {
  readonly type: "ping";
  readonly trace?: string;
}

/** Good-bye: the client leaves on purpose and will not come back with this client id. */
export interface Bye {
  readonly type: "bye";
  readonly trace?: string;
}

/** Notice that the session's holder speaks to this client. */
export interface Ready {
  readonly type: "ready";
  readonly epoch?: number;
  readonly seq?: number;
  readonly trace?: string;
  readonly session: string;
  readonly known: Known;
  readonly history: number;
  readonly head: number;
  readonly since?: number;
  readonly audio?: AudioFormats;
  readonly window?: number;
  readonly features: readonly string[];
  readonly holder?: string;
}

/** A client's input frames that are in the records, or have no effect: to `upto`, and those in `beyond`. */
export interface Known {
  readonly upto: number;
  readonly beyond: readonly number[];
}

/** The audio formats of the agent's input and output. */
export interface AudioFormats {
  readonly input: AudioFormat;
  readonly output: AudioFormat;
}

/** The coding of audio: `rate` in samples a second, `channels`, and `format` ("pcm"). */
export interface AudioFormat {
  readonly rate: number;
  readonly channels: number;
  readonly format: string;
}

/** Acknowledgement of durable inputs: every seq up to `upto`, and those in `beyond`. */
export interface InputAck {
  readonly type: "ack";
  readonly epoch?: number;
  readonly seq?: number;
  readonly trace?: string;
  readonly upto: number;
  readonly beyond: readonly number[];
}

/** Receipt of inputs that the holder has, but need not be durable: keep them, and do not repeat them. */
export interface Received {
  readonly type: "received";
  readonly epoch?: number;
  readonly seq?: number;
  readonly trace?: string;
  readonly upto: number;
  readonly beyond: readonly number[];
}

/** A piece of the agent's speech: base64 of PCM16 mono at `rate` samples a second. */
export interface AudioOutput {
  readonly type: "audio";
  readonly epoch?: number;
  readonly seq?: number;
  readonly trace?: string;
  readonly audio: string;
  readonly rate: number;
}

/** A transcript of speech, of caller or agent. Only a final one is journal content and carries `record`. With `replaces` it corrects the one with that `record`: the caller barged in, and this much was heard. */
export interface Transcript {
  readonly type: "transcript";
  readonly epoch?: number;
  readonly seq?: number;
  readonly trace?: string;
  readonly role: "assistant" | "user";
  readonly text: string;
  readonly final: boolean;
  readonly record?: number;
  readonly replaces?: number;
}

/** Text of the agent that was never speech. */
export interface TextOutput {
  readonly type: "text";
  readonly epoch?: number;
  readonly seq?: number;
  readonly trace?: string;
  readonly text: string;
  readonly record?: number;
}

/** Start or end of a tool. */
export interface Tool {
  readonly type: "tool";
  readonly epoch?: number;
  readonly seq?: number;
  readonly trace?: string;
  readonly name: string;
  readonly tool_use_id: string;
  readonly status: "error" | "started" | "success";
  readonly record?: number;
}

/** A person's answer that the agent waits for (`asked`), or does not wait for any more. While it waits, the one that was asked is said again after every `Ready`, whatever `since` says: show it once for each `record`. */
export interface Approval {
  readonly type: "approval";
  readonly epoch?: number;
  readonly seq?: number;
  readonly trace?: string;
  readonly status: "answered" | "asked" | "denied" | "expired" | "withdrawn";
  readonly requests: readonly ApprovalRequest[];
  readonly tools: readonly WaitingTool[];
  readonly seconds?: number;
  readonly of?: number;
  readonly reason?: string;
  readonly record?: number;
}

/** One of the questions of an `Approval`. */
export interface ApprovalRequest {
  readonly id: string;
  readonly name: string;
  readonly reason?: unknown;
  readonly tool_use_id?: string;
}

/** A tool call that does not run before an `Approval` is answered. */
export interface WaitingTool {
  readonly tool_use_id: string;
  readonly name: string;
  readonly input: unknown;
}

/** Lines of the conversation, for clients whose `Hello` asked for them: a page of it, or a line typed just now. */
export interface HistoryOutput {
  readonly type: "history";
  readonly epoch?: number;
  readonly seq?: number;
  readonly trace?: string;
  readonly lines: readonly HistoryLine[];
  readonly before?: number;
  readonly more?: boolean;
}

/** One line of the conversation. Its place is `replaces`, or else `record`. */
export interface HistoryLine {
  readonly record: number;
  readonly role: "assistant" | "user";
  readonly kind: "image" | "text" | "tool" | "transcript";
  readonly text?: string;
  readonly name?: string;
  readonly tool_use_id?: string;
  readonly status?: "error" | "started" | "success";
  readonly replaces?: number;
  readonly input?: number;
}

/** The user's speech over the agent's: stop playing and drop what is queued. */
export interface BargeIn {
  readonly type: "barge_in";
  readonly epoch?: number;
  readonly seq?: number;
  readonly trace?: string;
}

/** Renewal of the connection to the model; the conversation goes on. */
export interface Restart {
  readonly type: "restart";
  readonly epoch?: number;
  readonly seq?: number;
  readonly trace?: string;
  readonly reason: string;
}

/** Handoff of the session under way: hold input back until `Ready`. */
export interface Moved {
  readonly type: "moved";
  readonly epoch?: number;
  readonly seq?: number;
  readonly trace?: string;
}

/** A wait of the holder (`active`), or its end. There is nothing to do, and nothing lost. It has no `seq`, so that a client that does not know it misses no number. Journal content, an `ack` or a `ready` that comes after it ends a pause, too. */
export interface Pause {
  readonly type: "pause";
  readonly epoch?: number;
  readonly seq?: number;
  readonly trace?: string;
  readonly active: boolean;
  readonly reason: string;
}

/** Room again for input that was refused: send everything unacknowledged again. A `Received` that follows it says what of that has come and need not be sent. */
export interface Resume {
  readonly type: "resume";
  readonly epoch?: number;
  readonly seq?: number;
  readonly trace?: string;
}

/** Refusal of a frame, or a failure. `retryable`: the same may succeed later. */
export interface ErrorFrame {
  readonly type: "error";
  readonly epoch?: number;
  readonly seq?: number;
  readonly trace?: string;
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
  readonly input?: number;
}

/** The worker that owns this connection ends soon: open the next connection beside it, and say `Hello` there. Like `Pong` it is of the connection, not of the session, and has neither epoch nor number. */
export interface Reconnect {
  readonly type: "reconnect";
  readonly epoch?: number;
  readonly seq?: number;
  readonly trace?: string;
  readonly after_ms: number;
}

/** The answer to `Ping`. */
export interface Pong {
  readonly type: "pong";
  readonly epoch?: number;
  readonly seq?: number;
  readonly trace?: string;
}

/** A frame of a client. */
export type ClientFrame =
  | Hello
  | TextInput
  | AudioInput
  | ImageInput
  | AnswerInput
  | OutputAck
  | HistoryRequest
  | Ping
  | Bye;

/** A frame of a server. Fields with a default are filled in when a frame is read. */
export type ServerFrame =
  | Ready
  | InputAck
  | Received
  | AudioOutput
  | Transcript
  | TextOutput
  | Tool
  | Approval
  | HistoryOutput
  | BargeIn
  | Restart
  | Moved
  | Pause
  | Resume
  | ErrorFrame
  | Reconnect
  | Pong;

/** The type of a frame of the server, and its shape. */
export const SERVER_TYPES: Readonly<Record<string, string>> = {
  ready: "Ready",
  ack: "InputAck",
  received: "Received",
  audio: "AudioOutput",
  transcript: "Transcript",
  text: "TextOutput",
  tool: "Tool",
  approval: "Approval",
  history: "HistoryOutput",
  barge_in: "BargeIn",
  restart: "Restart",
  moved: "Moved",
  pause: "Pause",
  resume: "Resume",
  error: "ErrorFrame",
  reconnect: "Reconnect",
  pong: "Pong",
};

/** The shapes of what a server says: each field with its shape and default; "?" may be left out. */
export const SHAPES: Readonly<Record<string, Readonly<Record<string, readonly [string, unknown?]>>>> = {
  Ready: {
    "type": ["one:ready"],
    "epoch?": ["int:0"],
    "seq?": ["int:1"],
    "trace?": ["match:^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$"],
    "session": ["text"],
    "known": ["@Known"],
    "history": ["int:0"],
    "head": ["int:0"],
    "since?": ["int:-1"],
    "audio?": ["@AudioFormats"],
    "window?": ["int:1"],
    "features?": ["[text", []],
    "holder?": ["text"],
  },
  Known: {
    "upto?": ["int:", 0],
    "beyond?": ["[int:", []],
  },
  AudioFormats: {
    "input": ["@AudioFormat"],
    "output": ["@AudioFormat"],
  },
  AudioFormat: {
    "rate": ["int:1"],
    "channels": ["int:1"],
    "format": ["text"],
  },
  InputAck: {
    "type": ["one:ack"],
    "epoch?": ["int:0"],
    "seq?": ["int:1"],
    "trace?": ["match:^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$"],
    "upto": ["int:0"],
    "beyond?": ["[int:1", []],
  },
  Received: {
    "type": ["one:received"],
    "epoch?": ["int:0"],
    "seq?": ["int:1"],
    "trace?": ["match:^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$"],
    "upto": ["int:0"],
    "beyond?": ["[int:1", []],
  },
  AudioOutput: {
    "type": ["one:audio"],
    "epoch?": ["int:0"],
    "seq?": ["int:1"],
    "trace?": ["match:^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$"],
    "audio": ["text"],
    "rate": ["int:1"],
  },
  Transcript: {
    "type": ["one:transcript"],
    "epoch?": ["int:0"],
    "seq?": ["int:1"],
    "trace?": ["match:^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$"],
    "role": ["one:assistant|user"],
    "text": ["text"],
    "final": ["bool"],
    "record?": ["int:0"],
    "replaces?": ["int:0"],
  },
  TextOutput: {
    "type": ["one:text"],
    "epoch?": ["int:0"],
    "seq?": ["int:1"],
    "trace?": ["match:^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$"],
    "text": ["text"],
    "record?": ["int:0"],
  },
  Tool: {
    "type": ["one:tool"],
    "epoch?": ["int:0"],
    "seq?": ["int:1"],
    "trace?": ["match:^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$"],
    "name": ["text"],
    "tool_use_id": ["text"],
    "status": ["one:error|started|success"],
    "record?": ["int:0"],
  },
  Approval: {
    "type": ["one:approval"],
    "epoch?": ["int:0"],
    "seq?": ["int:1"],
    "trace?": ["match:^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$"],
    "status": ["one:answered|asked|denied|expired|withdrawn"],
    "requests?": ["[@ApprovalRequest", []],
    "tools?": ["[@WaitingTool", []],
    "seconds?": ["number:0"],
    "of?": ["int:0"],
    "reason?": ["text"],
    "record?": ["int:0"],
  },
  ApprovalRequest: {
    "id": ["text"],
    "name": ["text"],
    "reason?": ["any"],
    "tool_use_id?": ["text"],
  },
  WaitingTool: {
    "tool_use_id": ["text"],
    "name": ["text"],
    "input": ["any"],
  },
  HistoryOutput: {
    "type": ["one:history"],
    "epoch?": ["int:0"],
    "seq?": ["int:1"],
    "trace?": ["match:^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$"],
    "lines": ["[@HistoryLine"],
    "before?": ["int:0"],
    "more?": ["bool"],
  },
  HistoryLine: {
    "record": ["int:0"],
    "role": ["one:assistant|user"],
    "kind": ["one:image|text|tool|transcript"],
    "text?": ["text"],
    "name?": ["text"],
    "tool_use_id?": ["text"],
    "status?": ["one:error|started|success"],
    "replaces?": ["int:0"],
    "input?": ["int:1"],
  },
  BargeIn: {
    "type": ["one:barge_in"],
    "epoch?": ["int:0"],
    "seq?": ["int:1"],
    "trace?": ["match:^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$"],
  },
  Restart: {
    "type": ["one:restart"],
    "epoch?": ["int:0"],
    "seq?": ["int:1"],
    "trace?": ["match:^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$"],
    "reason": ["text"],
  },
  Moved: {
    "type": ["one:moved"],
    "epoch?": ["int:0"],
    "seq?": ["int:1"],
    "trace?": ["match:^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$"],
  },
  Pause: {
    "type": ["one:pause"],
    "epoch?": ["int:0"],
    "seq?": ["int:1"],
    "trace?": ["match:^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$"],
    "active": ["bool"],
    "reason": ["text"],
  },
  Resume: {
    "type": ["one:resume"],
    "epoch?": ["int:0"],
    "seq?": ["int:1"],
    "trace?": ["match:^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$"],
  },
  ErrorFrame: {
    "type": ["one:error"],
    "epoch?": ["int:0"],
    "seq?": ["int:1"],
    "trace?": ["match:^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$"],
    "code": ["text"],
    "message": ["text"],
    "retryable": ["bool"],
    "input?": ["int:1"],
  },
  Reconnect: {
    "type": ["one:reconnect"],
    "epoch?": ["int:0"],
    "seq?": ["int:1"],
    "trace?": ["match:^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$"],
    "after_ms?": ["int:0", 0],
  },
  Pong: {
    "type": ["one:pong"],
    "epoch?": ["int:0"],
    "seq?": ["int:1"],
    "trace?": ["match:^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$"],
  },
};

/** The error codes that the protocol knows. The set is open. */
export type ErrorCode =
  | "oversize"
  | "bad_json"
  | "unknown_type"
  | "bad_frame"
  | "bad_audio"
  | "bad_image"
  | "approval_open"
  | "approval_closed"
  | "bad_answer"
  | "unauthorized"
  | "expired"
  | "bad_session"
  | "hello_first"
  | "already_bound"
  | "superseded"
  | "unknown_connection"
  | "beyond_window"
  | "too_fast"
  | "busy"
  | "too_many_sessions"
  | "no_worker"
  | "agent_failed"
  | "model_throttled"
  | "model_unavailable"
  | "model_failed"
  | "model_access"
  | "content_refused"
  | "internal";
