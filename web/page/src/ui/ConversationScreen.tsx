/** A conversation. */
import { useRef, useState } from "preact/hooks";
import type { Talk } from "../conversation-view.js";
import { ApprovalCard } from "./ApprovalCard.js";
import { Dock } from "./InputBar.js";
import { Lines } from "./TranscriptView.js";
import { Notices } from "./Notices.js";
import { Strip } from "./SessionStatus.js";

export function Room({ talk, onAgain, onVoice }: {
  readonly talk: Talk;
  readonly onAgain: () => void;
  readonly onVoice: () => void;
}) {
  const [over, setOver] = useState(false);
  const depth = useRef(0);
  const drop = (event: DragEvent): void => {
    event.preventDefault();
    depth.current = 0;
    setOver(false);
    const files = [...(event.dataTransfer?.files ?? [])];
    if (files.length) void talk.send(files);
  };
  return (
    <main
      class={`room${over ? " over" : ""}`}
      onDragEnter={(event) => { event.preventDefault(); depth.current += 1; setOver(true); }}
      onDragLeave={() => { depth.current -= 1; if (depth.current <= 0) setOver(false); }}
      onDragOver={(event) => { event.preventDefault(); }}
      onDrop={drop}
    >
      <Strip talk={talk} />
      <Lines talk={talk} />
      {over && <div class="drop" aria-hidden="true">Let go to show it to the agent</div>}
      <div class="foot">
        <Notices talk={talk} />
        {talk.approval.value && <ApprovalCard approval={talk.approval.value} onAnswer={(approval, yes) => { talk.answer(approval, yes); }} />}
        {talk.live.value ? (
          <Dock talk={talk} onVoice={onVoice} />
        ) : (
          <div class="dock"><button type="button" class="main" onClick={onAgain}>Go on</button></div>
        )}
      </div>
    </main>
  );
}
