/** Status of the session: its connection, its holder, and the handoffs so far. */
import type { ConversationView } from "../conversation-view.js";
import { STATE_LABELS, gapLabel } from "../user-messages.js";

/** Handoffs shown at most: more do not fit into the line. */
const MAX_SHOWN = 6;

export function SessionStatus({ view }: { readonly view: ConversationView }) {
  const state = view.state.value;
  const handoffs = view.handoffs.value;
  const epoch = view.epoch.value;
  const first = handoffs[Math.max(0, handoffs.length - MAX_SHOWN)]?.from ?? epoch;
  return (
    <section class="session-status" aria-label="Session" data-state={state}>
      <dl class="facts">
        <div class="fact state">
          <dt>Connection</dt>
          <dd><span class="dot" aria-hidden="true" />{view.paused.value ? "Storage is slow" : STATE_LABELS[state]}</dd>
        </div>
        <div class="fact"><dt>Held by</dt><dd data-holder={view.holder.value}>{epoch === undefined ? "–" : (view.holder.value ?? (view.hasVoice.value ? "voice worker" : "text function"))}</dd></div>
        <div class="fact"><dt>Epoch</dt><dd class="number" data-epoch={epoch}>{epoch ?? "–"}</dd></div>
        <div class="fact"><dt>Round trip</dt><dd class="number">{view.roundTrip.value === undefined ? "–" : `${view.roundTrip.value} ms`}</dd></div>
        <div class="fact"><dt>In flight</dt><dd class="number">{view.unacknowledged.value}</dd></div>
        <div class="fact"><dt>Handoffs</dt><dd class="number" data-handoffs={handoffs.length}>{handoffs.length}</dd></div>
      </dl>
      {epoch !== undefined && (
        <ol class="holders" aria-label="Holders, the last to the right" tabIndex={0}>
          <li class="holder"><span class="number">{first}</span></li>
          {handoffs.slice(-MAX_SHOWN).map((handoff) => (
            <li
              key={handoff.to} class={`holder handoff${handoff.planned ? "" : " takeover"}`} data-gap={handoff.gap}
              title={handoff.planned ? "handed over by its holder" : "taken over: the holder said nothing more"}
            >
              <span class="gap">{gapLabel(handoff)}</span><span class="number">{handoff.to}</span>
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}
