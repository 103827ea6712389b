/** Controls of the conversation: microphone, text, images and devices. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { ConversationView } from "../conversation-view.js";
import { Devices } from "./Devices.js";

export function InputBar({ view, onSwitchToVoice }: { readonly view: ConversationView; readonly onSwitchToVoice: () => void }) {
  return (
    <div class="input-bar">
      <MicrophoneControls view={view} onSwitchToVoice={onSwitchToVoice} />
      <Composer view={view} />
    </div>
  );
}

function MicrophoneControls({ view, onSwitchToVoice }: { readonly view: ConversationView; readonly onSwitchToVoice: () => void }) {
  const { sound } = view;
  const state = sound.microphone.value;
  const on = state === "on" || state === "muted";
  const toggle = (): void => {
    if (view.modality === "text") onSwitchToVoice();
    else if (on) sound.mute(state === "on");
    else void sound.startTalking();
  };
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (!event.altKey || event.code !== "KeyM") return;
      event.preventDefault();
      toggle();
    };
    addEventListener("keydown", onKey);
    return () => { removeEventListener("keydown", onKey); };
  });
  const label = { off: "Start talking", starting: "Starting…", on: "Mute", muted: "Unmute" }[state];
  return (
    <div class="voice">
      <button
        type="button" class={`microphone ${state}`} onClick={toggle} disabled={state === "starting"}
        aria-pressed={on ? state === "muted" : undefined} title={`${label} (Alt+M)`} data-microphone={state}
      >
        <MicrophoneIcon muted={state === "muted"} /><span>{label}</span>
      </button>
      <LevelMeter name="You" side="input" view={view} />
      <LevelMeter name="Agent" side="output" view={view} />
      {on && <button type="button" class="plain" onClick={() => void sound.stopTalking()}>Stop talking</button>}
      <Devices view={view} />
    </div>
  );
}

/** Meter of a level, drawn without a render of the page twenty times a second. */
function LevelMeter({ name, side, view }: { readonly name: string; readonly side: "input" | "output"; readonly view: ConversationView }) {
  const bar = useRef<HTMLSpanElement>(null);
  useEffect(() => view.sound.level.subscribe((level) => {
    bar.current?.style.setProperty("--level", String(Math.min(1, Math.sqrt(level[side]))));
  }), [view, side]);
  return <span class={`meter ${side}`} aria-hidden="true"><span class="meter-name">{name}</span><span class="meter-bar" ref={bar} /></span>;
}

function Composer({ view }: { readonly view: ConversationView }) {
  const [text, setText] = useState("");
  const field = useRef<HTMLTextAreaElement>(null);
  const files = useRef<HTMLInputElement>(null);
  const send = (): void => {
    if (view.sendText(text)) setText("");
    field.current?.focus();
    if (view.modality === "voice") void view.sound.playAnswers();
  };
  return (
    <form class="composer" onSubmit={(event) => { event.preventDefault(); send(); }}>
      <label class="visually-hidden" for="words">Type to the agent</label>
      <textarea
        id="words" ref={field} rows={1} value={text} placeholder="Type instead" enterkeyhint="send"
        onInput={(event) => { setText(event.currentTarget.value); }}
        onKeyDown={(event) => {
          if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
          event.preventDefault();
          send();
        }}
        onPaste={(event) => {
          const pasted = [...(event.clipboardData?.files ?? [])];
          if (pasted.length) { event.preventDefault(); void view.sendImages(pasted); }
        }}
      />
      <input
        ref={files} type="file" accept="image/*" multiple class="visually-hidden" tabIndex={-1} aria-hidden="true"
        onChange={({ currentTarget: input }) => { void view.sendImages([...(input.files ?? [])]); input.value = ""; }}
      />
      <button type="button" class="plain icon" title="Show an image (or drop one anywhere)" aria-label="Show an image" onClick={() => files.current?.click()}>
        <svg viewBox="0 0 24 24" aria-hidden="true"><rect x="3.5" y="4.5" width="17" height="15" rx="2" /><circle cx="9" cy="10" r="1.6" /><path d="M4 17l5-4 3.5 2.5L16 12l4.5 4" /></svg>
      </button>
      <button type="submit" class="secondary" disabled={!text.trim()}>Send</button>
    </form>
  );
}

function MicrophoneIcon({ muted }: { readonly muted: boolean }) {
  return (
    <svg viewBox="0 0 24 24" aria-hidden="true">
      <rect x="9" y="3" width="6" height="11" rx="3" /><path d="M5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3" />{muted && <path d="M4 4l16 16" />}
    </svg>
  );
}
