import { expect, it } from "vitest";
import { MicrophoneDenied, MicrophoneMissing } from "../../client/src/audio/index.js";
import type { ErrorCode } from "../../client/src/index.js";
import { HandshakeRefused, SenderFull, SessionRefused } from "../../client/src/index.js";
import { endMessage, inputMessage, errorMessage, soundMessage } from "../src/user-messages.js";

const error = (code: string) => ({ type: "error", code, message: "inner words", retryable: true }) as const;

it("says errors in sentences, without codes", () => {
  const codes: ErrorCode[] = ["no_worker", "model_throttled", "approval_open", "content_refused", "internal", "too_many_sessions"];
  for (const code of codes) {
    expect(errorMessage(error(code))).toMatch(/^[A-Z].*\.$/);
    expect(errorMessage(error(code))).not.toContain("_");
  }
});

it("keeps quiet about what the client sees to, and shows what it does not know", () => {
  expect(errorMessage(error("expired"))).toBeUndefined();
  expect(errorMessage(error("brand_new"))).toContain("inner words");
});

it("knows what to do about a microphone, and about an end", () => {
  expect(soundMessage(new MicrophoneDenied("denied", "x"))).toContain("Allow it");
  expect(soundMessage(new MicrophoneMissing("missing", "x"))).toContain("Plug one in");
  expect(soundMessage(new Error("x"))).toContain("type meanwhile");
  expect(endMessage(new HandshakeRefused(403))).toContain("Sign in again");
  expect(endMessage(new SessionRefused("expired", "over"))).toContain("Sign in again");
  expect(endMessage(new SessionRefused("already_bound", "no"))).toContain("another tab");
  expect(inputMessage(new SenderFull("x"))).toContain("Wait");
});
