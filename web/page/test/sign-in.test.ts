import { afterEach, expect, it, vi } from "vitest";
import type { SignedOut } from "../src/sign-in.js";
import { SignIn } from "../src/sign-in.js";

const ISSUER = "http://127.0.0.1:1/issuer";
const PAGE = "http://127.0.0.1:1/";
const SETTINGS = { url: "ws://127.0.0.1:1/", issuer: ISSUER, clientId: "page", scopes: ["openid"] };
const part = (claims: object): string => Buffer.from(JSON.stringify(claims)).toString("base64url");
const idToken = (sub: string): string => {
  const now = Math.floor(Date.now() / 1000);
  return `${part({ alg: "ES256" })}.${part({ iss: ISSUER, aud: "page", sub, iat: now, exp: now + 3600 })}.${part({})}`;
};

/** Return the session storage of one tab with a signed-in user. */
function storage(sub: string, until = Date.now() + 3_600_000): Storage {
  const kept = new Map([["segue.tokens", JSON.stringify({ idToken: idToken(sub), refreshToken: `r-${sub}`, from: 0, until })]]);
  return {
    getItem: (name: string) => kept.get(name) ?? null,
    setItem: (name: string, value: string) => void kept.set(name, value),
    removeItem: (name: string) => void kept.delete(name),
  } as unknown as Storage;
}

/** Stub a browser, and an issuer that answers after `answered`. Returns the requests and the addresses gone to. */
function browser(answered: Promise<void> = Promise.resolve()): { asked: string[]; left: string[] } {
  const asked: string[] = [];
  const left: string[] = [];
  vi.stubGlobal("location", Object.assign(new URL(PAGE), { assign: (to: URL | string) => left.push(String(to)) }));
  vi.stubGlobal("fetch", async (to: string | URL, options?: { body?: unknown }) => {
    const { pathname } = new URL(to);
    const facts = {
      issuer: ISSUER, token_endpoint: `${PAGE}token`, end_session_endpoint: `${PAGE}logout`, revocation_endpoint: `${PAGE}revoke`,
    };
    if (pathname.endsWith("openid-configuration")) return Response.json(facts);
    asked.push(`${pathname} ${String(options?.body ?? "")}`);
    if (pathname === "/revoke") return new Response(null, { status: 200 });
    await answered;
    return Response.json({ access_token: "a", token_type: "Bearer", expires_in: 3600, id_token: idToken("alice") });
  });
  return { asked, left };
}

afterEach(() => {
  vi.unstubAllGlobals();
});

it("signs out in every tab, so that no tab goes on or gives its tokens to the next user", async () => {
  browser();
  const reasons: SignedOut[] = [];
  const other = storage("alice");
  const [here, there] = [new SignIn(SETTINGS, undefined, storage("alice")), new SignIn(SETTINGS, (reason) => reasons.push(reason), other)];
  expect(there.userName).toBe("alice");
  await here.signOut();
  await vi.waitFor(() => { expect(reasons).toHaveLength(1); });

  expect(there.userName).toBeUndefined();
  await expect(there.token()).rejects.toThrow("signed out");
  expect(await new SignIn(SETTINGS, undefined, storage("bob")).resume()).toBe(true);
  expect(await there.resume().catch(() => undefined)).toBe(true); // bob's, from his tab
  expect(there.userName).toBe("bob");
});

it("is signed out also if a renewal was under way", async () => {
  let answer = (): void => undefined;
  const { left } = browser(new Promise((resolve) => { answer = resolve; }));
  const kept = storage("alice", Date.now() + 1);
  const signIn = new SignIn(SETTINGS, undefined, kept);
  const renewed = signIn.token().catch((error: unknown) => error);
  await new Promise((resolve) => setTimeout(resolve, 20));
  await signIn.signOut();
  answer();

  expect(await renewed).toMatchObject({ reason: "needed" });
  expect(kept.getItem("segue.tokens")).toBeNull();
  expect(left).toHaveLength(1);
});

it("has the issuer forget the refresh token", async () => {
  const { asked } = browser();
  await new SignIn(SETTINGS, undefined, storage("alice")).signOut();
  expect(asked).toEqual([expect.stringMatching(/^\/revoke .*token=r-alice/)]);
});
