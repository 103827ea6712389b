// Removal of sponsors' addresses from package-lock.json, since they name hosts; `npm ci` does not read them.
import { readFileSync, writeFileSync } from "node:fs";

const lock = new URL("../package-lock.json", import.meta.url);
const whole = JSON.parse(readFileSync(lock, "utf8"));
for (const one of Object.values(whole.packages)) delete one.funding;
writeFileSync(lock, `${JSON.stringify(whole, null, 2)}\n`);
