import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

test("the types are what docs/protocol.asyncapi.json says", () => {
  const script = fileURLToPath(new URL("../scripts/types.mjs", import.meta.url));

  expect(() => execFileSync(process.execPath, [script, "--check"], { stdio: "pipe" })).not.toThrow();
});
