/** The page: settings, sign-in, choice of a session, conversation. */
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { forgetSessions, putInAddress, rememberSession, sessionInAddress } from "../sessions.js";
import type { Settings } from "../settings.js";
import { readSettings } from "../settings.js";
import { SignedOut, SignIn } from "../sign-in.js";
import { ConversationView } from "../conversation-view.js";
import { Header } from "./Header.js";
import { SessionChoice } from "./SessionChoice.js";
import { ConversationScreen } from "./ConversationScreen.js";
import { ProblemScreen, SignInScreen } from "./SignInScreen.js";

type Screen =
  | { readonly at: "loading" }
  | { readonly at: "problem"; readonly text: string }
  | { readonly at: "sign-in"; readonly reason: SignedOut | undefined }
  | { readonly at: "sessions" }
  | { readonly at: "conversation"; readonly view: ConversationView };

const screen = signal<Screen>({ at: "loading" });
let settings: Settings | undefined;
let signIn: SignIn | undefined;

async function load(): Promise<void> {
  try {
    settings = await readSettings();
    signIn = new SignIn(settings, (reason) => {
      if (screen.value.at === "conversation") void screen.value.view.leave();
      putInAddress(undefined);
      screen.value = { at: "sign-in", reason };
    });
    if (!(await signIn.resume())) screen.value = { at: "sign-in", reason: undefined };
    else openFromAddress();
  } catch (error) {
    if (error instanceof SignedOut) screen.value = { at: "sign-in", reason: error };
    else screen.value = { at: "problem", text: (error as Error).message };
  }
}

function openFromAddress(): void {
  const session = sessionInAddress(location.hash);
  if (session === undefined) screen.value = { at: "sessions" };
  else enterSession(session);
}

function enterSession(session: string, modality: "voice" | "text" = "voice"): ConversationView | undefined {
  if (!settings || !signIn) return undefined;
  const { token } = signIn;
  const view = new ConversationView(settings, session, async () => {
    try {
      return await token();
    } catch (error) {
      if (error instanceof SignedOut) {
        void view.leave();
        screen.value = { at: "sign-in", reason: error };
      }
      throw error;
    }
  }, modality);
  putInAddress(session);
  rememberSession(session);
  document.title = `${session} · Segue`;
  screen.value = { at: "conversation", view };
  return view;
}

async function leave(view: ConversationView): Promise<void> {
  await view.leave();
  putInAddress(undefined);
  document.title = "Segue";
  screen.value = { at: "sessions" };
}

async function signOut(): Promise<void> {
  if (screen.value.at === "conversation") await screen.value.view.leave();
  putInAddress(undefined);
  forgetSessions();
  await signIn?.signOut();
}

export function App() {
  useEffect(() => {
    void load();
  }, []);
  const current = screen.value;
  const userName = current.at === "sessions" || current.at === "conversation" ? signIn?.userName : undefined;
  return (
    <>
      <Header
        userName={userName}
        session={current.at === "conversation" ? current.view.session : undefined}
        onLeave={() => current.at === "conversation" && void leave(current.view)}
        onSignOut={() => void signOut()}
      />
      {current.at === "loading" && <main class="centred" aria-busy="true"><p class="muted-text">One moment…</p></main>}
      {current.at === "problem" && <ProblemScreen text={current.text} />}
      {current.at === "sign-in" && <SignInScreen reason={current.reason} onSignIn={() => void startSignIn()} />}
      {current.at === "sessions" && <SessionChoice onOpen={(session, withVoice) => void openSession(session, withVoice)} />}
      {current.at === "conversation" && <ConversationScreen key={current.view.conversation.clientId} view={current.view} onReopen={() => void reopen(current.view)} onSwitchToVoice={() => void switchToVoice(current.view)} />}
    </>
  );
}

async function startSignIn(): Promise<void> {
  try {
    await signIn?.goToIssuer();
  } catch (error) {
    if (error instanceof SignedOut) screen.value = { at: "sign-in", reason: error };
  }
}

async function openSession(session: string, withVoice: boolean): Promise<void> {
  const view = enterSession(session, withVoice ? "voice" : "text");
  if (withVoice) await view?.sound.startTalking();
}

/** Reopen a conversation that has ended. */
async function reopen(view: ConversationView): Promise<void> {
  enterSession(view.session, view.modality);
  await view.leave();
}

/** Switch a session of text to voice. */
async function switchToVoice(view: ConversationView): Promise<void> {
  const spoken = enterSession(view.session);
  await Promise.all([view.leave(), spoken?.sound.startTalking()]);
}
