/** What the user is told for a while. */
import type { Talk } from "../conversation-view.js";

export function Notices({ talk }: { readonly talk: Talk }) {
  return (
    <div class="notices">
      {talk.notices.value.map(({ id, text, urgent }) => (
        <div key={id} class={`notice${urgent ? " urgent" : ""}`} role={urgent ? "alert" : "status"}>
          <p>{text}</p>
          <button type="button" class="plain" aria-label="Dismiss" onClick={() => { talk.dismiss(id); }}>×</button>
        </div>
      ))}
    </div>
  );
}
