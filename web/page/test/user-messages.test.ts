import { expect, it, vi } from "vitest";
import { MicrophoneDenied, MicrophoneMissing } from "../../client/src/audio/index.js";
import type { ErrorCode } from "../../client/src/index.js";
import { HandshakeRefused, SenderFull } from "../../client/src/index.js";
import { forgetSessions, isSessionName, newSessionName, recentSessions, rememberSession, sessionOf } from "../src/sessions.js";
import { NotSetUp, readSettings } from "../src/settings.js";
import { endOf, inputOf, saidOf, soundOf } from "../src/user-messages.js";

const error = (code: string) => ({ type: "error", code, message: "inner words", retryable: true }) as const;

it("says errors in sentences, without codes", () => {
  const codes: ErrorCode[] = ["no_worker", "model_throttled", "approval_open", "content_refused", "internal", "too_many_sessions"];
  for (const code of codes) {
    expect(saidOf(error(code))).toMatch(/^[A-Z].*\.$/);
    expect(saidOf(error(code))).not.toContain("_");
  }
});

it("keeps quiet about what the client sees to, and shows what it does not know", () => {
  expect(saidOf(error("expired"))).toBeUndefined();
  expect(saidOf(error("brand_new"))).toContain("inner words");
});

it("knows what to do about a microphone, and about an end", () => {
  expect(soundOf(new MicrophoneDenied("denied", "x"))).toContain("Allow it");
  expect(soundOf(new MicrophoneMissing("missing", "x"))).toContain("Plug one in");
  expect(soundOf(new Error("x"))).toContain("type meanwhile");
  expect(endOf(new HandshakeRefused(403))).toContain("Sign in again");
  expect(inputOf(new SenderFull("x"))).toContain("Wait");
});

it("takes the names that the protocol takes", () => {
  for (const name of ["user_123", "a.b-c", "x".repeat(128), newSessionName()]) expect(isSessionName(name)).toBe(true);
  for (const name of ["", ".", "..", "a b", "ä", "x".repeat(129), "a/b"]) expect(isSessionName(name)).toBe(false);
  expect(sessionOf("#session=user_123")).toBe("user_123");
  expect(sessionOf("#session=a/b")).toBeUndefined();
  expect(sessionOf("#code=x")).toBeUndefined();
});

it("reads its settings, and says what is wrong with them", async () => {
  const answer = (body: unknown, status = 200) => () => Promise.resolve(new Response(JSON.stringify(body), { status }));
  const good = { url: "wss://x/dev", login: "oidc", issuer: "https://i", clientId: "c", scopes: ["openid"], new: 1 };
  expect(await readSettings(answer(good))).toEqual({ url: "wss://x/dev", issuer: "https://i", clientId: "c", scopes: ["openid"] });
  await expect(readSettings(answer({}, 403))).rejects.toThrow("Deploy that stack");
  await expect(readSettings(answer({ url: 1 }))).rejects.toThrow(NotSetUp);
  await expect(readSettings(() => Promise.reject(new Error("no")))).rejects.toThrow("does not answer");
});

it("forgets the names of sessions at a sign-out, and does without storage", () => {
  const kept = new Map<string, string>();
  vi.stubGlobal("localStorage", {
    getItem: (name: string) => kept.get(name) ?? null,
    setItem: (name: string, value: string) => void kept.set(name, value),
    removeItem: (name: string) => void kept.delete(name),
  });
  rememberSession("mine");
  expect(recentSessions()).toEqual(["mine"]);
  forgetSessions();
  expect([...kept.values()].join()).not.toContain("mine");
  expect(recentSessions()).toEqual([]);
  vi.stubGlobal("localStorage", undefined);
  expect(() => { forgetSessions(); }).not.toThrow();
  vi.unstubAllGlobals();
});
