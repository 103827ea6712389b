/** The transcript as lines of a play, with a double bar where the holder changed. */
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import type { ConversationView } from "../conversation-view.js";
import type { Line } from "../transcript.js";
import { gapLabel } from "../user-messages.js";

/** Pixels from the end within which the view follows new lines. */
const FOLLOW_WITHIN_PIXELS = 80;

export function TranscriptView({ view }: { readonly view: ConversationView }) {
  const box = useRef<HTMLDivElement>(null);
  const follow = useRef(true);
  const lines = view.lines.value;
  useLayoutEffect(() => {
    const element = box.current;
    if (element && follow.current) element.scrollTop = element.scrollHeight;
  }, [lines]);
  useEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const watch = new ResizeObserver(() => {
      if (follow.current) element.scrollTop = element.scrollHeight;
    });
    watch.observe(element);
    return () => { watch.disconnect(); };
  }, []);
  return (
    <div
      ref={box} class="lines" tabIndex={0} role="region" aria-label="Transcript"
      onScroll={({ currentTarget: element }) => {
        follow.current = element.scrollHeight - element.scrollTop - element.clientHeight < FOLLOW_WITHIN_PIXELS;
      }}
    >
      {view.hasOlder.value && (
        <button type="button" class="plain show-older" disabled={view.loadingOlder.value} onClick={() => void view.loadOlder()}>
          {view.loadingOlder.value ? "Loading…" : "Show earlier"}
        </button>
      )}
      {lines.length === 0 && view.state.value === "ready" && (
        <p class="empty">Nothing was said in this session yet. Start talking, or type below.</p>
      )}
      <ol class="transcript">
        {lines.map((line) => <TranscriptLine key={line.id} line={line} />)}
      </ol>
      <SpokenAnswers lines={lines} />
    </div>
  );
}

function TranscriptLine({ line }: { readonly line: Line }) {
  switch (line.kind) {
    case "message":
      return (
        <li class={`line ${line.role}${line.partial ? " partial" : ""}${line.durable || line.partial ? "" : " sending"}`} data-role={line.role} data-final={!line.partial}>
          <span class="speaker">{line.role === "user" ? "You" : "Agent"}</span>
          <span class="words">{line.text}{line.cutOff && <span class="cut" title="You spoke over the rest of it"> — cut off</span>}</span>
        </li>
      );
    case "tool":
      return (
        <li class={`line tool ${line.status}`} data-tool={line.name}>
          <span class="speaker">Tool</span>
          <span class="words"><code>{line.name}</code> {line.status === "started" ? "is at work…" : line.status === "success" ? "is done" : "failed"}</span>
        </li>
      );
    case "image":
      return (
        <li class={`line user${line.durable ? "" : " sending"}`}>
          <span class="speaker">You</span>
          <span class="words">{line.url === undefined ? <em>showed an image</em> : <img class="picture" src={line.url} alt="The image that you sent" />}</span>
        </li>
      );
    case "change":
      return (
        <li class={`change${line.planned ? "" : " takeover"}`}>
          <span>{line.planned ? "handed over" : "taken over"}, epoch {line.from} to {line.to}, {gapLabel(line)}</span>
        </li>
      );
  }
}

/** Final answers for screen readers, each once. */
function SpokenAnswers({ lines }: { readonly lines: readonly Line[] }) {
  const final = lines.filter((line) => line.kind === "message" && !line.partial && line.role === "assistant").slice(-3);
  return (
    <div class="visually-hidden" role="log" aria-live="polite">
      {final.map((line) => line.kind === "message" && <p key={line.id}>Agent: {line.text}</p>)}
    </div>
  );
}
