/** Choice of a session: a new one, one of the latest, or any by its name. */
import { useState } from "preact/hooks";
import { isSessionName, newSessionName, recentSessions } from "../sessions.js";

export function SessionChoice({ onOpen }: { readonly onOpen: (session: string, withVoice: boolean) => void }) {
  const [recent] = useState(recentSessions);
  const [name, setName] = useState(() => recent[0] ?? newSessionName());
  const isValid = isSessionName(name);
  return (
    <main class="centred">
      <form
        class="card"
        onSubmit={(event) => {
          event.preventDefault();
          const withVoice = (event.submitter as HTMLButtonElement | null)?.value !== "type";
          if (isValid) onOpen(name, withVoice);
        }}
      >
        <h2>{recent.includes(name) ? "Go on where you were" : "Start a conversation"}</h2>
        <label for="session">Session</label>
        <div class="row">
          <input
            id="session" value={name} autocomplete="off" spellcheck={false} maxLength={128} list="recent"
            aria-invalid={!isValid} aria-describedby="session-rule"
            onInput={(event) => { setName(event.currentTarget.value); }}
          />
          <button type="button" class="plain" onClick={() => { setName(newSessionName()); }}>New</button>
        </div>
        <datalist id="recent">{recent.map((each) => <option key={each} value={each} />)}</datalist>
        <p id="session-rule" class={isValid ? "muted-text" : "problem"}>
          {isValid ? "The same name on another device goes on with the same conversation." : "Letters, digits, dots, dashes and underscores, 128 at most."}
        </p>
        <div class="row">
          <button type="submit" class="primary" disabled={!isValid}>Talk</button>
          <button type="submit" value="type" class="secondary" disabled={!isValid}>Only type</button>
        </div>
      </form>
    </main>
  );
}
