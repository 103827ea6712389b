/** The sound of a conversation: microphone, loudspeaker, their devices and levels, as signals. */
import { signal } from "@preact/signals";
import type { Voice } from "../../client/src/audio/index.js";
import { openVoice } from "../../client/src/audio/index.js";
import captureUrl from "../../client/src/audio/capture.worklet.ts?worker&url";
import playbackUrl from "../../client/src/audio/playback.worklet.ts?worker&url";
import type { Conversation } from "../../client/src/index.js";
import { soundOf } from "./user-messages.js";

/** What the microphone is doing. */
export type Microphone = "off" | "starting" | "on" | "muted";

export class Sound {
  readonly microphone = signal<Microphone>("off");
  readonly level = signal({ input: 0, output: 0 });
  readonly microphones = signal<readonly MediaDeviceInfo[]>([]);
  readonly speakers = signal<readonly MediaDeviceInfo[]>([]);
  readonly chosen = signal<{ readonly microphone?: string; readonly speaker?: string }>({});
  private voice: Voice | undefined;
  private closed = false;
  private opening = Promise.resolve();

  constructor(
    private readonly conversation: Conversation,
    /** Tells what is wrong; undefined once it is right again. */
    private readonly tell: (text: string | undefined) => void,
  ) {}

  /** Start talking. Call it from a click or a key. */
  async talk(): Promise<void> {
    if (this.closed || this.microphone.value !== "off") return;
    this.microphone.value = "starting";
    try {
      await this.open(true);
      if (this.isClosed()) return; // while the user was asked
      this.microphone.value = "on";
      this.tell(undefined);
    } catch (error) {
      if (this.isClosed()) return;
      this.microphone.value = "off";
      this.tell(soundOf(error));
      await this.listen();
    }
    await this.look();
  }

  /** Hear the answers, without a microphone. Call it from a click or a key. */
  async listen(): Promise<void> {
    if (!this.voice) await this.open(false).catch(() => undefined);
  }

  /** Mute the microphone, or open it again. */
  mute(muted: boolean): void {
    if (!this.voice || this.microphone.value === "off") return;
    this.voice.mute(muted);
    this.microphone.value = muted ? "muted" : "on";
  }

  /** Give the microphone back; answers are heard on. */
  async hangUp(): Promise<void> {
    if (this.microphone.value === "off") return;
    await this.fallSilent();
    await this.listen();
  }

  /** Speak into another microphone. */
  async useMicrophone(id: string): Promise<void> {
    try {
      await this.voice?.useMicrophone(id);
      this.chosen.value = { ...this.chosen.value, microphone: id };
    } catch (error) {
      this.tell(soundOf(error));
    }
  }

  /** Hear from another loudspeaker. */
  async useSpeaker(id: string): Promise<void> {
    try {
      await this.voice?.useSpeaker(id);
      this.chosen.value = { ...this.chosen.value, speaker: id };
    } catch (error) {
      this.tell(soundOf(error));
    }
  }

  /** Switch off all sound, for good. */
  async close(): Promise<void> {
    this.closed = true;
    await this.fallSilent();
  }

  private isClosed(): boolean {
    return this.closed;
  }

  private async fallSilent(): Promise<void> {
    const { voice } = this;
    this.voice = undefined;
    this.microphone.value = "off";
    this.level.value = { input: 0, output: 0 };
    navigator.mediaDevices?.removeEventListener("devicechange", this.look);
    await voice?.close();
  }

  /** One after the other: the user may just be asked for the microphone. */
  private open(microphone: boolean): Promise<void> {
    this.opening = this.opening.catch(() => undefined).then(() => this.openNow(microphone));
    return this.opening;
  }

  private async openNow(microphone: boolean): Promise<void> {
    if (this.closed || (this.voice && !microphone)) return;
    await this.voice?.close();
    this.voice = undefined;
    const { microphone: deviceId, speaker: outputId } = this.chosen.value;
    const voice = await openVoice(this.conversation, {
      captureUrl,
      playbackUrl,
      microphone,
      ...(deviceId === undefined ? {} : { deviceId }),
      ...(outputId === undefined ? {} : { outputId }),
    });
    if (this.isClosed()) {
      await voice.close(); // or else the microphone would stay open
      return;
    }
    voice.on("level", (level) => {
      this.level.value = level;
    });
    this.voice = voice;
    navigator.mediaDevices?.addEventListener("devicechange", this.look);
  }

  /** Look which devices there are. */
  private readonly look = async (): Promise<void> => {
    if (!this.voice) return;
    const found = await this.voice.devices();
    this.microphones.value = found.microphones;
    this.speakers.value = found.speakers;
  };
}
