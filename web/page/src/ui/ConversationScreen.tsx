/** The screen of a conversation; images can be dropped on it. */
import { useRef, useState } from "preact/hooks";
import type { ConversationView } from "../conversation-view.js";
import { ApprovalCard } from "./ApprovalCard.js";
import { InputBar } from "./InputBar.js";
import { TranscriptView } from "./TranscriptView.js";
import { Notices } from "./Notices.js";
import { SessionStatus } from "./SessionStatus.js";

export function ConversationScreen({ view, onReopen, onSwitchToVoice }: {
  readonly view: ConversationView;
  readonly onReopen: () => void;
  readonly onSwitchToVoice: () => void;
}) {
  const [dragging, setDragging] = useState(false);
  const dragDepth = useRef(0);
  const drop = (event: DragEvent): void => {
    event.preventDefault();
    dragDepth.current = 0;
    setDragging(false);
    const files = [...(event.dataTransfer?.files ?? [])];
    if (files.length) void view.sendImages(files);
  };
  return (
    <main
      class={`conversation${dragging ? " dragging" : ""}`}
      onDragEnter={(event) => { event.preventDefault(); dragDepth.current += 1; setDragging(true); }}
      onDragLeave={() => { dragDepth.current -= 1; if (dragDepth.current <= 0) setDragging(false); }}
      onDragOver={(event) => { event.preventDefault(); }}
      onDrop={drop}
    >
      <SessionStatus view={view} />
      <TranscriptView view={view} />
      {dragging && <div class="drop-target" aria-hidden="true">Let go to show it to the agent</div>}
      <div class="controls">
        <Notices view={view} />
        {view.approval.value && <ApprovalCard approval={view.approval.value} onAnswer={(approval, yes) => { view.answer(approval, yes); }} />}
        {view.live.value ? (
          <InputBar view={view} onSwitchToVoice={onSwitchToVoice} />
        ) : (
          <div class="input-bar"><button type="button" class="primary" onClick={onReopen}>Go on</button></div>
        )}
      </div>
    </main>
  );
}
