/** Who holds the session, and how it came there: what the page's frame is about. */
import type { Talk } from "../conversation-view.js";
import { STATES, gapOf } from "../user-messages.js";

/** Handoffs that fit into the line. */
const SHOWN = 6;

export function Strip({ talk }: { readonly talk: Talk }) {
  const state = talk.state.value;
  const handoffs = talk.handoffs.value;
  const epoch = talk.epoch.value;
  const first = handoffs[Math.max(0, handoffs.length - SHOWN)]?.from ?? epoch;
  return (
    <section class="strip" aria-label="Session" data-state={state}>
      <dl class="facts">
        <div class="fact state">
          <dt>Connection</dt>
          <dd><span class="dot" aria-hidden="true" />{talk.paused.value ? "Storage is slow" : STATES[state]}</dd>
        </div>
        <div class="fact"><dt>Held by</dt><dd data-holder={talk.holder.value}>{epoch === undefined ? "–" : (talk.holder.value ?? (talk.speaks.value ? "voice worker" : "text function"))}</dd></div>
        <div class="fact"><dt>Epoch</dt><dd class="number" data-epoch={epoch}>{epoch ?? "–"}</dd></div>
        <div class="fact"><dt>Round trip</dt><dd class="number">{talk.roundTrip.value === undefined ? "–" : `${talk.roundTrip.value} ms`}</dd></div>
        <div class="fact"><dt>In flight</dt><dd class="number">{talk.unsaved.value}</dd></div>
        <div class="fact"><dt>Handoffs</dt><dd class="number" data-handoffs={handoffs.length}>{handoffs.length}</dd></div>
      </dl>
      {epoch !== undefined && (
        <ol class="score" aria-label="Holders, the last to the right" tabIndex={0}>
          <li class="bar"><span class="number">{first}</span></li>
          {handoffs.slice(-SHOWN).map((handoff) => (
            <li
              key={handoff.to} class={`bar joined${handoff.planned ? "" : " broken"}`} data-gap={handoff.gap}
              title={handoff.planned ? "handed over by its holder" : "taken over: the holder said nothing more"}
            >
              <span class="gap">{gapOf(handoff)}</span><span class="number">{handoff.to}</span>
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}
