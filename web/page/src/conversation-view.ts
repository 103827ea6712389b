/** One conversation as the page shows it: signals, changed by events of the client and of the sound. */
import { batch, computed, signal } from "@preact/signals";
import type { Approval, ClientError, Conversation, State } from "../../client/src/index.js";
import { connect } from "../../client/src/index.js";
import type { Handoff, ObservedFrame } from "./handoffs.js";
import { Handoffs } from "./handoffs.js";
import { readImage } from "./images.js";
import type { Settings } from "./settings.js";
import { Sound } from "./sound.js";
import type { Line } from "./transcript.js";
import { TranscriptLines } from "./transcript.js";
import { endMessage, inputMessage, errorMessage } from "./user-messages.js";

/** Milliseconds between two measurements of the round trip, while the page is visible. */
const PING_INTERVAL_MS = 5000;

/** Milliseconds until a notice that asks for nothing disappears. */
const NOTICE_MS = 12_000;

/** A message to the user. */
export interface Notice {
  readonly id: number;
  readonly text: string;
  readonly urgent: boolean;
}

export class ConversationView {
  readonly state = signal<State>("connecting");
  readonly lines = signal<readonly Line[]>([]);
  readonly epoch = signal<number | undefined>(undefined);
  readonly holder = signal<string | undefined>(undefined);
  readonly hasVoice = signal(true);
  readonly roundTrip = signal<number | undefined>(undefined);
  readonly unacknowledged = signal(0);
  readonly handoffs = signal<readonly Handoff[]>([]);
  readonly approval = signal<Approval | undefined>(undefined);
  readonly paused = signal(false);
  readonly hasOlder = signal(false);
  readonly loadingOlder = signal(false);
  readonly notices = signal<readonly Notice[]>([]);
  readonly failure = signal<ClientError | undefined>(undefined);
  readonly live = computed(() => this.failure.value === undefined && this.state.value !== "closed");
  readonly sound: Sound;
  readonly conversation: Conversation;
  private readonly transcript = new TranscriptLines();
  private readonly holders = new Handoffs();
  private readonly stopping = new AbortController();
  /** Object URLs of the sent images, kept for as long as the session is shown. */
  private readonly imageUrls: string[] = [];
  private noticeCount = 0;

  constructor(
    settings: Settings,
    readonly session: string,
    token: () => Promise<string>,
    readonly modality: "voice" | "text",
  ) {
    this.conversation = connect({ url: settings.url, session, token, modality, approvals: true, history: true });
    this.sound = new Sound(this.conversation, (text) => {
      if (text === undefined) this.notices.value = [];
      else this.notify(text, true);
    });
    this.subscribe();
    this.measureRoundTrip();
  }

  /** Send typed text. Returns true if it was taken. */
  sendText(text: string): boolean {
    const trimmed = text.trim();
    if (!trimmed) return false;
    try {
      this.conversation.sendText(trimmed);
    } catch (error) {
      this.notify(inputMessage(error), true);
      return false;
    }
    this.transcript.addTyped(trimmed);
    this.publishLines();
    return true;
  }

  /** Send images. */
  async sendImages(files: Iterable<Blob>): Promise<void> {
    for (const file of files) {
      try {
        const { bytes, type } = await readImage(file);
        this.conversation.sendImage(bytes, type);
        const url = URL.createObjectURL(file);
        this.imageUrls.push(url);
        this.transcript.addImage(url);
        this.publishLines();
      } catch (error) {
        this.notify(inputMessage(error), true);
      }
    }
  }

  /** Answer an approval. */
  answer(approval: Approval, consent: boolean): void {
    try {
      this.conversation.answer(approval, Object.fromEntries(approval.requests.map(({ id }) => [id, consent])));
      this.approval.value = undefined;
    } catch (error) {
      this.notify(inputMessage(error), true);
    }
  }

  /** Fetch older lines of the conversation. */
  async loadOlder(): Promise<void> {
    if (this.loadingOlder.value) return;
    this.loadingOlder.value = true;
    try {
      await this.conversation.history();
    } catch {
      this.notify("The older part of the conversation did not come. Try again.", true);
    } finally {
      this.loadingOlder.value = false;
    }
  }

  /** Show a notice, until it is dismissed if it is urgent, otherwise for `NOTICE_MS`. */
  notify(text: string, urgent = false): void {
    if (this.notices.value.some((notice) => notice.text === text)) return;
    const id = ++this.noticeCount;
    this.notices.value = [...this.notices.value, { id, text, urgent }].slice(-3);
    if (urgent) return; // stays until it is dismissed: the user has something to do
    setTimeout(() => {
      this.dismiss(id);
    }, NOTICE_MS);
  }

  /** Remove a notice. */
  dismiss(id: number): void {
    this.notices.value = this.notices.value.filter((notice) => notice.id !== id);
  }

  /** Leave the session, which goes on without this client. */
  async leave(): Promise<void> {
    this.stopping.abort();
    for (const url of this.imageUrls.splice(0)) URL.revokeObjectURL(url); // otherwise the browser keeps each image
    await this.sound.close();
    await this.conversation.close();
  }

  private subscribe(): void {
    const { conversation, transcript } = this;
    const options = { signal: this.stopping.signal };
    const updating = <Event,>(take: (event: Event) => void) => (event: Event): void => {
      batch(() => {
        take(event);
        this.publishLines();
      });
    };
    conversation.on("frame", (frame) => { this.observe(frame); }, options);
    conversation.on("transcript", updating((frame) => { transcript.addTranscript(frame); }), options);
    conversation.on("text", updating((frame) => { transcript.addText(frame); }), options);
    conversation.on("tool", updating((frame) => { transcript.addToolUse(frame); }), options);
    conversation.on("bargeIn", updating(() => { transcript.dropPartialAnswer(); }), options);
    conversation.on("history", updating((frame) => {
      transcript.addHistory(frame.lines);
      if (frame.more !== undefined) this.hasOlder.value = frame.more;
    }), options);
    conversation.on("ready", (frame) => {
      this.hasVoice.value = frame.audio !== undefined;
      this.holder.value = frame.holder;
      this.paused.value = false;
    }, options);
    conversation.on("approval", (frame) => {
      this.approval.value = frame.status === "asked" ? frame : undefined;
      if (frame.status === "expired") this.notify("The question was not answered in time, so the tool did not run.");
    }, options);
    conversation.on("pause", (frame) => { this.paused.value = frame.active; }, options);
    conversation.on("error", (frame) => {
      const text = errorMessage(frame);
      if (text !== undefined) this.notify(text, !frame.retryable);
    }, options);
    conversation.on("acknowledged", updating(() => {
      this.unacknowledged.value = conversation.unacknowledged;
      if (!conversation.unacknowledged) transcript.settleAll();
    }), options);
    conversation.on("state", ({ state }) => { this.state.value = state; }, options);
    conversation.on("end", ({ error }) => {
      this.failure.value = error;
      if (error) this.notify(endMessage(error), true);
      void this.sound.close();
    }, options);
  }

  private observe(frame: ObservedFrame): void {
    const change = this.holders.observe(frame, performance.now());
    this.epoch.value = this.holders.epoch;
    this.unacknowledged.value = this.conversation.unacknowledged;
    if (!change) return;
    this.handoffs.value = [...this.holders.changes];
    this.transcript.dropPartialAnswer();
    this.transcript.addHolderChange({ kind: "change", ...change });
    this.publishLines();
  }

  private publishLines(): void {
    this.lines.value = this.transcript.lines;
  }

  private measureRoundTrip(): void {
    const timer = setInterval(() => {
      if (document.visibilityState === "hidden" || this.state.value !== "ready") return;
      this.conversation.ping().then(
        (milliseconds) => { this.roundTrip.value = Math.round(milliseconds); },
        () => { this.roundTrip.value = undefined; },
      );
    }, PING_INTERVAL_MS);
    this.stopping.signal.addEventListener("abort", () => { clearInterval(timer); });
  }
}
