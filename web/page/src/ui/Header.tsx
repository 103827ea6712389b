/** The head of the page. */

export function Header({ who, session, onLeave, onSignOut }: {
  readonly who: string | undefined;
  readonly session: string | undefined;
  readonly onLeave: () => void;
  readonly onSignOut: () => void;
}) {
  return (
    <header class="head">
      <h1 class="wordmark">Segue<span class="barline" aria-hidden="true" /></h1>
      {session !== undefined && <p class="session" title="The session’s name">{session}</p>}
      <span class="spring" />
      {session !== undefined && <button type="button" class="plain" onClick={onLeave}>Leave</button>}
      {who !== undefined && <button type="button" class="plain" onClick={onSignOut} title={`Signed in as ${who}`}>Sign out</button>}
    </header>
  );
}
