import { expect, it, vi } from "vitest";
import { forgetSessions, isSessionName, newSessionName, recentSessions, rememberSession, sessionInAddress } from "../src/sessions.js";

it("takes the names that the protocol takes", () => {
  for (const name of ["user_123", "a.b-c", "x".repeat(128), newSessionName()]) expect(isSessionName(name)).toBe(true);
  for (const name of ["", ".", "..", "a b", "ä", "x".repeat(129), "a/b"]) expect(isSessionName(name)).toBe(false);
  expect(sessionInAddress("#session=user_123")).toBe("user_123");
  expect(sessionInAddress("#session=a/b")).toBeUndefined();
  expect(sessionInAddress("#code=x")).toBeUndefined();
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
