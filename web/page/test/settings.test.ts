import { expect, it } from "vitest";
import { NotSetUp, readSettings } from "../src/settings.js";

it("reads its settings, and says what is wrong with them", async () => {
  const answer = (body: unknown, status = 200) => () => Promise.resolve(new Response(JSON.stringify(body), { status }));
  const good = { url: "wss://x/dev", login: "oidc", issuer: "https://i", clientId: "c", scopes: ["openid"], new: 1 };
  expect(await readSettings(answer(good))).toEqual({ url: "wss://x/dev", issuer: "https://i", clientId: "c", scopes: ["openid"] });
  await expect(readSettings(answer({}, 403))).rejects.toThrow("Deploy that stack");
  await expect(readSettings(answer({ url: 1 }))).rejects.toThrow(NotSetUp);
  await expect(readSettings(() => Promise.reject(new Error("no")))).rejects.toThrow("does not answer");
});
