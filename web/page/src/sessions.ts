/**
 * Names of sessions: in the address, so that another tab or device can open the same one, and the latest of this
 * browser.
 */

const RECENT_KEY = "segue.sessions";
const MAX_RECENT = 8;
const NAME = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,128}$/;

/** Tell whether the service takes this as the name of a session. */
export function isSessionName(name: string): boolean {
  return NAME.test(name);
}

/** Return the session that the address names. */
export function sessionInAddress(hash: string): string | undefined {
  const name = new URLSearchParams(hash.slice(1)).get("session") ?? "";
  return isSessionName(name) ? name : undefined;
}

/** Put a session's name into the address, or remove it. */
export function putInAddress(name: string | undefined): void {
  history.replaceState(null, "", location.pathname + (name === undefined ? "" : `#session=${name}`));
}

/** Return the sessions that were opened in this browser, the latest first. */
export function recentSessions(): string[] {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(RECENT_KEY) ?? "[]");
    return Array.isArray(found) ? found.filter((name): name is string => typeof name === "string" && isSessionName(name)) : [];
  } catch {
    return [];
  }
}

/** Remember that a session was opened. */
export function rememberSession(name: string): void {
  try {
    localStorage.setItem(RECENT_KEY, JSON.stringify([name, ...recentSessions().filter((each) => each !== name)].slice(0, MAX_RECENT)));
  } catch {
    // Storage is full or forbidden: the list is only a convenience.
  }
}

/** Forget the sessions: the next user of this browser is another person. */
export function forgetSessions(): void {
  try {
    localStorage.removeItem(RECENT_KEY);
  } catch {
    // Storage is forbidden: there is no list.
  }
}

/** Return a name for a new session: the date, and four random letters. */
export function newSessionName(today = new Date()): string {
  const letters = crypto.getRandomValues(new Uint8Array(4));
  const randomLetters = Array.from(letters, (byte) => String.fromCharCode(97 + (byte % 26))).join("");
  return `${today.toISOString().slice(0, 10)}-${randomLetters}`;
}
