/** One conversation as the page shows it: signals, changed by what the client and the sound say. */
import { batch, computed, signal } from "@preact/signals";
import type { Approval, ClientError, Conversation, State } from "../../client/src/index.js";
import { connect } from "../../client/src/index.js";
import type { Handoff, Seen } from "./handoffs.js";
import { Handoffs } from "./handoffs.js";
import { readImage } from "./images.js";
import type { Settings } from "./settings.js";
import { Sound } from "./sound.js";
import type { Line } from "./transcript.js";
import { TranscriptLines } from "./transcript.js";
import { endOf, inputOf, saidOf } from "./user-messages.js";

/** Milliseconds between two measurements of the round trip, while the page is looked at. */
const PING_EVERY = 5000;

/** Milliseconds that a notice stays which asks for nothing. */
const NOTICE = 12_000;

/** Something to tell the user. */
export interface Notice {
  readonly id: number;
  readonly text: string;
  readonly urgent: boolean;
}

export class Talk {
  readonly state = signal<State>("connecting");
  readonly lines = signal<readonly Line[]>([]);
  readonly epoch = signal<number | undefined>(undefined);
  readonly holder = signal<string | undefined>(undefined);
  readonly speaks = signal(true);
  readonly roundTrip = signal<number | undefined>(undefined);
  readonly unsaved = signal(0);
  readonly handoffs = signal<readonly Handoff[]>([]);
  readonly approval = signal<Approval | undefined>(undefined);
  readonly paused = signal(false);
  readonly older = signal(false);
  readonly loading = signal(false);
  readonly notices = signal<readonly Notice[]>([]);
  readonly failure = signal<ClientError | undefined>(undefined);
  readonly live = computed(() => this.failure.value === undefined && this.state.value !== "closed");
  readonly sound: Sound;
  readonly conversation: Conversation;
  private readonly transcript = new TranscriptLines();
  private readonly changes = new Handoffs();
  private readonly stop = new AbortController();
  /** Addresses of the images that were sent: they are shown for as long as the session is. */
  private readonly pictures: string[] = [];
  private count = 0;

  constructor(
    settings: Settings,
    readonly session: string,
    token: () => Promise<string>,
    readonly modality: "voice" | "text",
  ) {
    this.conversation = connect({ url: settings.url, session, token, modality, approvals: true, history: true });
    this.sound = new Sound(this.conversation, (text) => {
      if (text === undefined) this.notices.value = [];
      else this.tell(text, true);
    });
    this.listen();
    this.measure();
  }

  /** Say something typed. Returns whether it was taken. */
  type(text: string): boolean {
    const said = text.trim();
    if (!said) return false;
    try {
      this.conversation.sendText(said);
    } catch (error) {
      this.tell(inputOf(error), true);
      return false;
    }
    this.transcript.typed(said);
    this.show();
    return true;
  }

  /** Send images. */
  async send(files: Iterable<Blob>): Promise<void> {
    for (const file of files) {
      try {
        const { bytes, type } = await readImage(file);
        this.conversation.sendImage(bytes, type);
        const url = URL.createObjectURL(file);
        this.pictures.push(url);
        this.transcript.pictured(url);
        this.show();
      } catch (error) {
        this.tell(inputOf(error), true);
      }
    }
  }

  /** Answer what the agent asks. */
  answer(approval: Approval, consent: boolean): void {
    try {
      this.conversation.answer(approval, Object.fromEntries(approval.requests.map(({ id }) => [id, consent])));
      this.approval.value = undefined;
    } catch (error) {
      this.tell(inputOf(error), true);
    }
  }

  /** Fetch older lines of the conversation. */
  async loadOlder(): Promise<void> {
    if (this.loading.value) return;
    this.loading.value = true;
    try {
      await this.conversation.history();
    } catch {
      this.tell("The older part of the conversation did not come. Try again.", true);
    } finally {
      this.loading.value = false;
    }
  }

  /** Tell the user something for a while. */
  tell(text: string, urgent = false): void {
    if (this.notices.value.some((notice) => notice.text === text)) return;
    const id = ++this.count;
    this.notices.value = [...this.notices.value, { id, text, urgent }].slice(-3);
    if (urgent) return; // stays until it is dismissed: there is something to do
    setTimeout(() => {
      this.dismiss(id);
    }, NOTICE);
  }

  /** Take a notice away. */
  dismiss(id: number): void {
    this.notices.value = this.notices.value.filter((notice) => notice.id !== id);
  }

  /** Leave the session; it stays as it is. */
  async leave(): Promise<void> {
    this.stop.abort();
    for (const url of this.pictures.splice(0)) URL.revokeObjectURL(url); // or else the browser keeps each image
    await this.sound.close();
    await this.conversation.close();
  }

  private listen(): void {
    const { conversation, transcript } = this;
    const options = { signal: this.stop.signal };
    const shows = <Event,>(take: (event: Event) => void) => (event: Event): void => {
      batch(() => {
        take(event);
        this.show();
      });
    };
    conversation.on("frame", (frame) => { this.follow(frame); }, options);
    conversation.on("transcript", shows((frame) => { transcript.heard(frame); }), options);
    conversation.on("text", shows((frame) => { transcript.wrote(frame); }), options);
    conversation.on("tool", shows((frame) => { transcript.used(frame); }), options);
    conversation.on("bargeIn", shows(() => { transcript.interrupted(); }), options);
    conversation.on("history", shows((frame) => {
      transcript.remembered(frame.lines);
      if (frame.more !== undefined) this.older.value = frame.more;
    }), options);
    conversation.on("ready", (frame) => {
      this.speaks.value = frame.audio !== undefined;
      this.holder.value = frame.holder;
      this.paused.value = false;
    }, options);
    conversation.on("approval", (frame) => {
      this.approval.value = frame.status === "asked" ? frame : undefined;
      if (frame.status === "expired") this.tell("The question was not answered in time, so the tool did not run.");
    }, options);
    conversation.on("pause", (frame) => { this.paused.value = frame.active; }, options);
    conversation.on("error", (frame) => {
      const text = saidOf(frame);
      if (text !== undefined) this.tell(text, !frame.retryable);
    }, options);
    conversation.on("acknowledged", shows(() => {
      this.unsaved.value = conversation.unacknowledged;
      if (!conversation.unacknowledged) transcript.saved();
    }), options);
    conversation.on("state", ({ state }) => { this.state.value = state; }, options);
    conversation.on("end", ({ error }) => {
      this.failure.value = error;
      if (error) this.tell(endOf(error), true);
      void this.sound.close();
    }, options);
  }

  private follow(frame: Seen): void {
    const change = this.changes.saw(frame, performance.now());
    this.epoch.value = this.changes.epoch;
    this.unsaved.value = this.conversation.unacknowledged;
    if (!change) return;
    this.handoffs.value = [...this.changes.all];
    this.transcript.interrupted();
    this.transcript.changed({ kind: "change", ...change });
    this.show();
  }

  private show(): void {
    this.lines.value = this.transcript.lines;
  }

  private measure(): void {
    const timer = setInterval(() => {
      if (document.visibilityState === "hidden" || this.state.value !== "ready") return;
      this.conversation.ping().then(
        (milliseconds) => { this.roundTrip.value = Math.round(milliseconds); },
        () => { this.roundTrip.value = undefined; },
      );
    }, PING_EVERY);
    this.stop.signal.addEventListener("abort", () => { clearInterval(timer); });
  }
}
