/** Head of the page: session, user, sign-out. */

export function Header({ userName, session, onLeave, onSignOut }: {
  readonly userName: string | undefined;
  readonly session: string | undefined;
  readonly onLeave: () => void;
  readonly onSignOut: () => void;
}) {
  return (
    <header class="header">
      <h1 class="wordmark">Segue<span class="barline" aria-hidden="true" /></h1>
      {session !== undefined && <p class="session" title="The session’s name">{session}</p>}
      <span class="spacer" />
      {session !== undefined && <button type="button" class="plain" onClick={onLeave}>Leave</button>}
      {userName !== undefined && <button type="button" class="plain" onClick={onSignOut} title={`Signed in as ${userName}`}>Sign out</button>}
    </header>
  );
}
