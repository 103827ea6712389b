import { samplesOf } from "../base64.js";
import type { Conversation } from "../conversation.js";
import { AudioUnsupported, microphoneError } from "./errors.js";
import { AudioBacklog } from "./backlog.js";
import type { Piece, PlayedPosition } from "./player.js";

/** Options of the sound of a conversation. */
export interface VoiceOptions {
  /** Address of the module `capture.worklet`. */
  readonly captureUrl: string | URL;
  /** Address of the module `playback.worklet`. */
  readonly playbackUrl: string | URL;
  /** False to open no microphone: answers are still heard. Default: true. */
  readonly microphone?: boolean | undefined;
  /** True to have the browser remove the loudspeaker's sound from the microphone's. Default: true. */
  readonly echoCancellation?: boolean | undefined;
  /** Device id of the microphone; the browser's choice if left out. */
  readonly deviceId?: string | undefined;
  /** Device id of the loudspeaker; the browser's choice if left out. */
  readonly outputId?: string | undefined;
}

/** The devices of this browser. Their labels are empty until the user has allowed a microphone. */
export interface Devices {
  readonly microphones: readonly MediaDeviceInfo[];
  readonly speakers: readonly MediaDeviceInfo[];
}

/** Events of a voice, with their values. */
export interface VoiceEvents {
  /** Root mean square of both sides, 0 to 1, about 20 times a second. */
  level: { readonly input: number; readonly output: number };
  /** The microphone was unplugged or revoked, and no other is left. */
  ended: undefined;
}

type Listeners = { [Name in keyof VoiceEvents]: Set<(event: VoiceEvents[Name]) => void> };

/**
 * Open the sound of a conversation. Call it in the handler of a click or a key. Throws `AudioError`; then nothing stays
 * open.
 */
export async function openVoice(conversation: Conversation, options: VoiceOptions): Promise<Voice> {
  if (typeof AudioWorkletNode === "undefined") {
    throw new AudioUnsupported("unsupported", "this browser has no AudioWorklet, or the page is not from https or loopback");
  }
  const context = new AudioContext({ latencyHint: "interactive" });
  const voice = new Voice(conversation, context, options);
  try {
    await voice.start();
  } catch (error) {
    await voice.close();
    throw error;
  }
  return voice;
}

/** Sound of one conversation; made by `openVoice`. */
export class Voice {
  private readonly listeners: Listeners = { level: new Set(), ended: new Set() };
  private readonly stopping = new AbortController();
  private readonly backlog = new AudioBacklog();
  private level = { input: 0, output: 0 };
  private playback: AudioWorkletNode | undefined;
  private capture: AudioWorkletNode | undefined;
  private source: MediaStreamAudioSourceNode | undefined;
  private stream: MediaStream | undefined;
  private isMuted = false;
  private closed = false;
  private stopCount = 0;
  private captureRate = 0;

  constructor(
    private readonly conversation: Conversation,
    private readonly context: AudioContext,
    private readonly options: VoiceOptions,
  ) {}

  /** True while the microphone is muted. */
  get muted(): boolean {
    return this.isMuted;
  }

  /** Add a listener for an event. Returns a function that removes it. */
  on<Name extends keyof VoiceEvents>(name: Name, listener: (event: VoiceEvents[Name]) => void): () => void {
    this.listeners[name].add(listener);
    return () => {
      this.listeners[name].delete(listener);
    };
  }

  /** Open the microphone and start both worklets; `openVoice` calls it. Throws `AudioError`. */
  async start(): Promise<void> {
    const { context, options, conversation } = this;
    // First, so that a refusal does not wait for modules.
    const stream = options.microphone === false ? undefined : await this.openMicrophone(options.deviceId);
    this.stream = stream;
    await Promise.all([context.audioWorklet.addModule(options.playbackUrl), context.audioWorklet.addModule(options.captureUrl)]);
    void context.resume();
    this.playback = new AudioWorkletNode(context, "segue-playback", { numberOfInputs: 0, outputChannelCount: [1] });
    this.playback.port.onmessage = ({ data }: MessageEvent<{ level?: number; place?: PlayedPosition; stopped?: number }>) => {
      this.onPlaybackReport(data);
    };
    this.playback.connect(context.destination);
    if (options.outputId !== undefined) await this.useSpeaker(options.outputId);
    if (stream) this.connectMicrophone(stream);
    const { signal } = this.stopping;
    conversation.on("audio", (frame) => {
      const { epoch = 0, seq = 0, rate } = frame;
      this.play({ epoch, seq, rate, pcm: samplesOf(frame.audio) });
    }, { signal });
    context.addEventListener("statechange", () => {
      if (context.state === "running") for (const piece of this.backlog.take()) this.play(piece);
    }, { signal });
    conversation.on("bargeIn", () => {
      this.stopCount += 1;
      this.backlog.take();
      this.playback?.port.postMessage({ stop: this.stopCount, latency: this.latency });
    }, { signal });
    conversation.on("ready", () => {
      this.setCaptureRate();
    }, { signal });
    // Telephone calls and the like suspend a context; it resumes when the page is shown again.
    document.addEventListener("visibilitychange", () => void (document.visibilityState === "visible" && context.resume()), { signal });
  }

  /** Mute or unmute the microphone. Its light may stay on; `close()` releases the device. */
  mute(muted: boolean): void {
    this.isMuted = muted;
    for (const track of this.stream?.getAudioTracks() ?? []) track.enabled = !muted;
    if (muted) this.conversation.endAudio();
  }

  /**
   * Switch to another microphone, the browser's choice without an id. Throws `AudioError`; then the present one stays.
   */
  async useMicrophone(deviceId?: string): Promise<void> {
    const stream = await this.openMicrophone(deviceId);
    if (this.closed) {
      stopTracks(stream);
      return;
    }
    stopTracks(this.stream);
    this.stream = stream;
    this.connectMicrophone(stream);
  }

  /** Switch to another loudspeaker. Throws `AudioUnsupported` where the browser lets no page choose. */
  async useSpeaker(deviceId: string): Promise<void> {
    const context = this.context as AudioContext & { setSinkId?: (id: string) => Promise<void> };
    if (!context.setSinkId) throw new AudioUnsupported("unsupported", "this browser lets no page choose the loudspeaker");
    // In the list of devices the browser's choice is "default"; `setSinkId` takes the empty text for it.
    await context.setSinkId(deviceId === "default" ? "" : deviceId);
  }

  /** Return the microphones and loudspeakers of this browser. */
  async devices(): Promise<Devices> {
    const all = await navigator.mediaDevices.enumerateDevices();
    return {
      microphones: all.filter(({ kind }) => kind === "audioinput"),
      speakers: all.filter(({ kind }) => kind === "audiooutput"),
    };
  }

  /** Stop all sound and release the devices. Safe to call again. */
  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    this.stopping.abort();
    this.conversation.endAudio();
    stopTracks(this.stream);
    await this.context.close();
  }

  private async openMicrophone(deviceId: string | undefined): Promise<MediaStream> {
    const devices = navigator.mediaDevices as MediaDevices | undefined;
    if (!devices) throw microphoneError(undefined);
    try {
      return await devices.getUserMedia({
        audio: {
          echoCancellation: this.options.echoCancellation ?? true,
          noiseSuppression: true,
          autoGainControl: true,
          channelCount: 1,
          ...(deviceId === undefined ? {} : { deviceId: { exact: deviceId } }),
        },
      });
    } catch (error) {
      throw microphoneError(error);
    }
  }

  private connectMicrophone(stream: MediaStream): void {
    const { context } = this;
    this.source?.disconnect();
    this.capture?.disconnect();
    for (const track of stream.getAudioTracks()) {
      track.enabled = !this.isMuted;
      track.onended = () => void this.replaceMicrophone();
    }
    this.source = context.createMediaStreamSource(stream);
    const capture = new AudioWorkletNode(context, "segue-capture", { outputChannelCount: [1] });
    capture.port.onmessage = ({ data }: MessageEvent<{ piece?: Int16Array; level?: number }>) => {
      if (this.capture !== capture || this.closed) return;
      if (data.level !== undefined) this.emitLevel({ input: this.isMuted ? 0 : data.level });
      if (data.piece && !this.isMuted) this.sendPiece(data.piece);
    };
    this.capture = capture;
    this.captureRate = 0;
    this.setCaptureRate();
    // Connected to the loudspeaker, though its output is silence: browsers run only what leads there.
    this.source.connect(capture).connect(context.destination);
  }

  /** Switch to the browser's choice after the microphone has gone; emit `ended` if there is none. */
  private async replaceMicrophone(): Promise<void> {
    try {
      await this.useMicrophone();
    } catch {
      this.emitLevel({ input: 0 });
      for (const listener of [...this.listeners.ended]) listener(undefined);
    }
  }

  private setCaptureRate(): void {
    const rate = this.conversation.ready?.audio?.input.rate;
    if (rate === undefined || rate === this.captureRate) return;
    this.captureRate = rate;
    this.capture?.port.postMessage({ rate });
  }

  /** Play a piece. A suspended loudspeaker gets none, since posted pieces would pile up. */
  private play(piece: Piece): void {
    if (this.context.state !== "running") this.backlog.push(piece);
    else this.playback?.port.postMessage({ piece, latency: this.latency });
  }

  private sendPiece(piece: Int16Array): void {
    try {
      this.conversation.sendAudio(piece);
    } catch {
      // The conversation has ended: its `end` event has the reason.
    }
  }

  /** Milliseconds from the worklet to the ear, as far as the browser knows; wireless loudspeakers take long. */
  private get latency(): number {
    return ((this.context.baseLatency || 0) + (this.context.outputLatency || 0)) * 1000;
  }

  private onPlaybackReport(data: { level?: number; place?: PlayedPosition; stopped?: number }): void {
    if (data.level !== undefined) this.emitLevel({ output: data.level });
    const stopped = data.stopped !== undefined;
    const place = data.place ?? { epoch: this.conversation.epoch ?? 0, seq: 0, ms: 0 };
    if (data.place ?? stopped) this.conversation.played(place, { stopped });
  }

  private emitLevel(change: { input?: number; output?: number }): void {
    this.level = { ...this.level, ...change };
    for (const listener of [...this.listeners.level]) listener(this.level);
  }
}

function stopTracks(stream: MediaStream | undefined): void {
  for (const track of stream?.getTracks() ?? []) {
    track.onended = null;
    track.stop();
  }
}
