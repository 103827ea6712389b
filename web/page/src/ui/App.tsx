/** The page: from its settings over the sign-in and the choice of a session to the conversation. */
import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { forgetSessions, nameInAddress, rememberSession, sessionOf } from "../sessions.js";
import type { Settings } from "../settings.js";
import { readSettings } from "../settings.js";
import { SignedOut, SignIn } from "../sign-in.js";
import { Talk } from "../conversation-view.js";
import { Header } from "./Header.js";
import { Lobby } from "./SessionChoice.js";
import { Room } from "./ConversationScreen.js";
import { Problem, Welcome } from "./SignInScreen.js";

type View =
  | { readonly at: "loading" }
  | { readonly at: "problem"; readonly text: string }
  | { readonly at: "welcome"; readonly reason: SignedOut | undefined }
  | { readonly at: "lobby" }
  | { readonly at: "room"; readonly talk: Talk };

const view = signal<View>({ at: "loading" });
let settings: Settings | undefined;
let signIn: SignIn | undefined;

async function begin(): Promise<void> {
  try {
    settings = await readSettings();
    signIn = new SignIn(settings, (reason) => {
      if (view.value.at === "room") void view.value.talk.leave();
      nameInAddress(undefined);
      view.value = { at: "welcome", reason };
    });
    if (!(await signIn.resume())) view.value = { at: "welcome", reason: undefined };
    else enterFromAddress();
  } catch (error) {
    if (error instanceof SignedOut) view.value = { at: "welcome", reason: error };
    else view.value = { at: "problem", text: (error as Error).message };
  }
}

function enterFromAddress(): void {
  const session = sessionOf(location.hash);
  if (session === undefined) view.value = { at: "lobby" };
  else enter(session);
}

function enter(session: string, modality: "voice" | "text" = "voice"): Talk | undefined {
  if (!settings || !signIn) return undefined;
  const { token } = signIn;
  const talk = new Talk(settings, session, async () => {
    try {
      return await token();
    } catch (error) {
      if (error instanceof SignedOut) {
        void talk.leave();
        view.value = { at: "welcome", reason: error };
      }
      throw error;
    }
  }, modality);
  nameInAddress(session);
  rememberSession(session);
  document.title = `${session} · Segue`;
  view.value = { at: "room", talk };
  return talk;
}

async function leave(talk: Talk): Promise<void> {
  await talk.leave();
  nameInAddress(undefined);
  document.title = "Segue";
  view.value = { at: "lobby" };
}

async function signOut(): Promise<void> {
  if (view.value.at === "room") await view.value.talk.leave();
  nameInAddress(undefined);
  forgetSessions();
  await signIn?.end();
}

export function App() {
  useEffect(() => {
    void begin();
  }, []);
  const now = view.value;
  const who = now.at === "lobby" || now.at === "room" ? signIn?.who : undefined;
  return (
    <>
      <Header
        who={who}
        session={now.at === "room" ? now.talk.session : undefined}
        onLeave={() => now.at === "room" && void leave(now.talk)}
        onSignOut={() => void signOut()}
      />
      {now.at === "loading" && <main class="centre" aria-busy="true"><p class="faint">One moment…</p></main>}
      {now.at === "problem" && <Problem text={now.text} />}
      {now.at === "welcome" && <Welcome reason={now.reason} onSignIn={() => void start()} />}
      {now.at === "lobby" && <Lobby onEnter={(session, aloud) => void open(session, aloud)} />}
      {now.at === "room" && <Room key={now.talk.conversation.clientId} talk={now.talk} onAgain={() => void again(now.talk)} onVoice={() => void speak(now.talk)} />}
    </>
  );
}

async function start(): Promise<void> {
  try {
    await signIn?.start();
  } catch (error) {
    if (error instanceof SignedOut) view.value = { at: "welcome", reason: error };
  }
}

async function open(session: string, aloud: boolean): Promise<void> {
  const talk = enter(session, aloud ? "voice" : "text");
  if (aloud) await talk?.sound.talk();
}

/** Go on with a conversation that has ended. */
async function again(talk: Talk): Promise<void> {
  enter(talk.session, talk.modality);
  await talk.leave();
}

/** Go on by voice with a session that was typed in. */
async function speak(talk: Talk): Promise<void> {
  const spoken = enter(talk.session);
  await Promise.all([talk.leave(), spoken?.sound.talk()]);
}
