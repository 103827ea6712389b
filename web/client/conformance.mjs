// The conformance kit's line protocol for this library: node web/client/conformance.mjs, after `npm run build`.
// docs/clients.md describes the lines.
import { createInterface } from "node:readline";
import { WebSocket } from "ws";
import { connect, FrameError, HandshakeRefused, SenderFull, SessionRefused } from "./dist/segue.js";

const SETTING_NAMES = {
  text_timeout_ms: "textTimeout",
  audio_timeout_ms: "audioTimeout",
  audio_bytes: "audioBytes",
  lasting_bytes: "lastingBytes",
  connection_lifetime_ms: "connectionLifetime",
  silence_timeout_ms: "silenceTimeout",
  pong_timeout_ms: "pongTimeout",
  give_up_after_ms: "giveUpAfter",
  event_capacity: "eventCapacity",
};

const report = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const bytes = (text) => new Uint8Array(Buffer.from(text, "base64"));

/** One conversation under the kit's commands. */
class Driver {
  #conversation;
  #approvals = new Map();
  #resume = () => undefined;
  #reading = Promise.resolve();

  constructor(name, { url, session, client_id, modality, approvals, history, silence, token, tokens, settings = {} }) {
    this.name = name;
    this.#conversation = connect({
      url,
      session,
      clientId: client_id,
      modality,
      approvals,
      history,
      silence,
      token: tokens ? () => (tokens.length > 1 ? tokens.shift() : tokens[0]) : token,
      settings: Object.fromEntries(Object.entries(settings).map(([key, value]) => [SETTING_NAMES[key], value])),
      WebSocket,
    });
    this.over = this.#read();
  }

  async #read() {
    let ended = "closed";
    try {
      for await (const event of this.#conversation.events()) {
        await this.#reading;
        if (event.type === "approval") this.#approvals.set(event.record, event);
        report({ case: this.name, shown: event });
      }
    } catch (error) {
      ended =
        error instanceof HandshakeRefused ? "handshake_refused" : error instanceof SessionRefused ? "session_refused" : error.name;
    }
    report({ case: this.name, ended });
  }

  async run(command) {
    const conversation = this.#conversation;
    switch (command.do) {
      case "text":
        return conversation.sendText(command.text);
      case "audio":
        return conversation.sendAudio(bytes(command.pcm));
      case "image":
        return conversation.sendImage(bytes(command.image), command.media_type);
      case "answer":
        return conversation.answer(this.#approvals.get(command.approval), command.responses);
      case "history":
        return void conversation.history({ before: command.before }).catch(() => undefined);
      case "played":
        return conversation.played({ epoch: command.epoch, seq: command.seq, ms: command.ms }, { stopped: true });
      case "pause":
        this.#reading = new Promise((resolve) => {
          this.#resume = resolve;
        });
        return report({ case: this.name, did: "pause" });
      case "resume":
        return this.#resume();
      case "close":
        return conversation.close();
      default:
        throw new Error(`there is no command ${command.do}`);
    }
  }
}

const drivers = new Map();
report({ client: "web/client", can: ["settings", "status", "history", "silence", "played", "binary"] });
for await (const line of createInterface({ input: process.stdin })) {
  const { case: name, ...command } = JSON.parse(line);
  if (command.do === "open") {
    drivers.set(name, new Driver(name, command));
    continue;
  }
  drivers
    .get(name)
    .run(command)
    .catch((error) => {
      if (error instanceof FrameError || error instanceof SenderFull) report({ case: name, refused: error.name });
      else if (!/Closed|Refused|Lost|NotRead/.test(error.name)) report({ case: name, failed: String(error.stack) });
    });
}
process.exit(0);
