/** Sign-in, and problems that keep the page from starting. */
import type { SignedOut } from "../sign-in.js";

export function SignInScreen({ reason, onSignIn }: { readonly reason: SignedOut | undefined; readonly onSignIn: () => void }) {
  return (
    <main class="centred">
      <div class="card">
        <h2>A conversation that goes on</h2>
        <p>Talk to the agent, or type. Whatever happens to the process that holds your conversation, you stay on the line.</p>
        {reason && <p class="problem" role="alert">{reason.message}</p>}
        {reason?.reason === "link" ? (
          <p>Print another link in the terminal, and open that: <code>python -m local link</code></p>
        ) : (
          <button type="button" class="primary" onClick={onSignIn}>Sign in</button>
        )}
      </div>
    </main>
  );
}

export function ProblemScreen({ text }: { readonly text: string }) {
  return (
    <main class="centred">
      <div class="card">
        <h2>Not yet</h2>
        <p class="problem" role="alert">{text}</p>
        <button type="button" class="primary" onClick={() => { location.reload(); }}>Load again</button>
      </div>
    </main>
  );
}
