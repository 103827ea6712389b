/** Sound of a conversation as signals: microphone, loudspeaker, devices and levels. */
import { signal } from "@preact/signals";
import type { Voice } from "../../client/src/audio/index.js";
import { openVoice } from "../../client/src/audio/index.js";
import captureUrl from "../../client/src/audio/capture.worklet.ts?worker&url";
import playbackUrl from "../../client/src/audio/playback.worklet.ts?worker&url";
import type { Conversation } from "../../client/src/index.js";
import { soundMessage } from "./user-messages.js";

/** State of the microphone. */
export type MicrophoneState = "off" | "starting" | "on" | "muted";

export class Sound {
  readonly microphone = signal<MicrophoneState>("off");
  readonly level = signal({ input: 0, output: 0 });
  readonly microphones = signal<readonly MediaDeviceInfo[]>([]);
  readonly speakers = signal<readonly MediaDeviceInfo[]>([]);
  readonly chosen = signal<{ readonly microphone?: string; readonly speaker?: string }>({});
  private voice: Voice | undefined;
  private closed = false;
  private opening = Promise.resolve();

  constructor(
    private readonly conversation: Conversation,
    /** Called with a problem's text for the user; with undefined once it is solved. */
    private readonly report: (text: string | undefined) => void,
  ) {}

  /** Open the microphone. Call it in the handler of a click or a key. */
  async startTalking(): Promise<void> {
    if (this.closed || this.microphone.value !== "off") return;
    this.microphone.value = "starting";
    try {
      await this.openInTurn(true);
      if (this.isClosed()) return; // closed while the browser asked the user
      this.microphone.value = "on";
      this.report(undefined);
    } catch (error) {
      if (this.isClosed()) return;
      this.microphone.value = "off";
      this.report(soundMessage(error));
      await this.playAnswers();
    }
    await this.refreshDevices();
  }

  /** Play the answers, without a microphone. Call it in the handler of a click or a key. */
  async playAnswers(): Promise<void> {
    if (!this.voice) await this.openInTurn(false).catch(() => undefined);
  }

  /** Mute or unmute the microphone. */
  mute(muted: boolean): void {
    if (!this.voice || this.microphone.value === "off") return;
    this.voice.mute(muted);
    this.microphone.value = muted ? "muted" : "on";
  }

  /** Release the microphone; answers are still played. */
  async stopTalking(): Promise<void> {
    if (this.microphone.value === "off") return;
    await this.closeVoice();
    await this.playAnswers();
  }

  /** Switch to another microphone. */
  async useMicrophone(id: string): Promise<void> {
    try {
      await this.voice?.useMicrophone(id);
      this.chosen.value = { ...this.chosen.value, microphone: id };
    } catch (error) {
      this.report(soundMessage(error));
    }
  }

  /** Switch to another loudspeaker. */
  async useSpeaker(id: string): Promise<void> {
    try {
      await this.voice?.useSpeaker(id);
      this.chosen.value = { ...this.chosen.value, speaker: id };
    } catch (error) {
      this.report(soundMessage(error));
    }
  }

  /** Close all sound for good. */
  async close(): Promise<void> {
    this.closed = true;
    await this.closeVoice();
  }

  private isClosed(): boolean {
    return this.closed;
  }

  private async closeVoice(): Promise<void> {
    const { voice } = this;
    this.voice = undefined;
    this.microphone.value = "off";
    this.level.value = { input: 0, output: 0 };
    navigator.mediaDevices?.removeEventListener("devicechange", this.refreshDevices);
    await voice?.close();
  }

  /** Open in turn: the browser may just be asking the user for the microphone. */
  private openInTurn(microphone: boolean): Promise<void> {
    this.opening = this.opening.catch(() => undefined).then(() => this.replaceVoice(microphone));
    return this.opening;
  }

  private async replaceVoice(microphone: boolean): Promise<void> {
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
      await voice.close(); // otherwise the microphone would stay open
      return;
    }
    voice.on("level", (level) => {
      this.level.value = level;
    });
    this.voice = voice;
    navigator.mediaDevices?.addEventListener("devicechange", this.refreshDevices);
  }

  /** Read the list of devices again. */
  private readonly refreshDevices = async (): Promise<void> => {
    if (!this.voice) return;
    const found = await this.voice.devices();
    this.microphones.value = found.microphones;
    this.speakers.value = found.speakers;
  };
}
