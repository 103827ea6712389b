/** The notices to the user. */
import type { ConversationView } from "../conversation-view.js";

export function Notices({ view }: { readonly view: ConversationView }) {
  return (
    <div class="notices">
      {view.notices.value.map(({ id, text, urgent }) => (
        <div key={id} class={`notice${urgent ? " urgent" : ""}`} role={urgent ? "alert" : "status"}>
          <p>{text}</p>
          <button type="button" class="plain" aria-label="Dismiss" onClick={() => { view.dismiss(id); }}>×</button>
        </div>
      ))}
    </div>
  );
}
