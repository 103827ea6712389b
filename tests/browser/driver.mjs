// A browser under remote control: one JSON command a line on stdin, one JSON answer a line on stdout.
//
//     {"id": 1, "page": "a", "do": "click", "with": {"role": "button", "name": "Talk"}}  ->  {"id": 1, "value": null}
//
// The first argument holds the options as JSON: the browser's path, its flags, and its folder.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const { web, executable, flags, profile } = JSON.parse(process.argv[2]);
const require = createRequire(`${web}/package.json`);
const { chromium } = require("playwright-core");

/** Record the page's sound: each node that is connected to the loudspeaker is connected to a recorder, too. */
function recordPlayback() {
  globalThis.__played = { rate: 0, samples: [] };
  const connect = AudioNode.prototype.connect;
  const recorders = new WeakMap();
  AudioNode.prototype.connect = function (target, ...more) {
    if (target instanceof AudioDestinationNode && !(this instanceof ScriptProcessorNode)) {
      const context = target.context;
      let recorder = recorders.get(context);
      if (!recorder) {
        recorder = context.createScriptProcessor(4096, 1, 1);
        recorder.onaudioprocess = ({ inputBuffer }) => {
          globalThis.__played.rate = context.sampleRate;
          globalThis.__played.samples.push(inputBuffer.getChannelData(0).slice());
        };
        connect.call(recorder, target);
        recorders.set(context, recorder);
      }
      connect.call(this, recorder);
    }
    return connect.call(this, target, ...more);
  };
}

/**
 * Switch off speech processing, and fix the sample rate: the offline model's speech is tones, which noise suppression
 * removes, and its recognition needs a round rate.
 */
function unprocessedSound() {
  const open = MediaDevices.prototype.getUserMedia;
  MediaDevices.prototype.getUserMedia = function (wanted) {
    const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    return open.call(this, wanted?.audio ? { ...wanted, audio: { ...wanted.audio, ...plain } } : wanted);
  };
  const Context = globalThis.AudioContext;
  globalThis.AudioContext = class extends Context {
    constructor(options) {
      super({ ...options, sampleRate: 48_000, latencyHint: "playback" }); // a busy machine must not make holes
    }
  };
}

/** Return the sound played since the last call: PCM16 as base64, and its rate in samples a second. */
function played() {
  const { rate, samples } = globalThis.__played;
  globalThis.__played.samples = [];
  const pcm = new Int16Array(samples.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of samples) for (const sample of piece) pcm[at++] = Math.max(-1, Math.min(1, sample)) * 32767;
  const bytes = new Uint8Array(pcm.buffer);
  let text = "";
  for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
  return { rate, pcm: btoa(text) };
}

const browser = await chromium.launch({ executablePath: executable, headless: true, args: flags, env: { ...process.env, HOME: profile } });
const contexts = new Map();
const pages = new Map();
const problems = [];

const element = (page, { role, name, selector }) =>
  selector ? page.locator(selector) : page.getByRole(role, { name, exact: true });

/** Ignore the error of a page that a redirect is just replacing; throw all others. */
function ignoreNavigation(error) {
  if (!/context was destroyed|Cannot find context/.test(error.message)) throw error;
}

const actions = {
  async open(_, { page: name, context: of, options = {}, permissions = [] }) {
    let context = contexts.get(of);
    if (!context) {
      context = await browser.newContext(options);
      await context.grantPermissions(permissions);
      await context.addInitScript(recordPlayback);
      await context.addInitScript(unprocessedSound);
      contexts.set(of, context);
    }
    const page = await context.newPage();
    page.setDefaultTimeout(90_000);
    page.on("console", (message) => {
      if (message.type() === "error") problems.push(`${name}: ${message.text()}`);
    });
    page.on("pageerror", (error) => problems.push(`${name}: ${error.stack ?? error}`));
    pages.set(name, page);
  },
  goto: (page, { url }) => page.goto(url),
  reload: (page) => page.reload(),
  click: (page, target) => element(page, target).click({ timeout: target.timeout }),
  fill: (page, { text, ...target }) => element(page, target).fill(text),
  press: (page, { key, ...target }) => element(page, target).press(key),
  key: (page, { key }) => page.keyboard.press(key),
  choose: (page, { label, ...target }) => element(page, target).selectOption({ label }),
  texts: (page, target) => element(page, target).allInnerTexts(),
  async wait(page, { condition, argument, timeout }) {
    // Evaluated from outside: waitForFunction compiles text within the page, which its Content-Security-Policy forbids.
    const call = `(${condition})(${JSON.stringify(argument ?? null)})`;
    for (const end = Date.now() + timeout; ; await new Promise((resolve) => setTimeout(resolve, 50))) {
      const value = await page.evaluate(call).catch(ignoreNavigation);
      if (value) return value;
      if (Date.now() > end) throw new Error(`not so within ${timeout} ms`);
    }
  },
  evaluate: (page, { expression }) => page.evaluate(expression),
  drop: (page, { file, type, selector }) =>
    page.evaluate(
      ([data, kind, target]) => {
        const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
        const transfer = new DataTransfer();
        transfer.items.add(new File([bytes], "image", { type: kind }));
        const at = document.querySelector(target);
        for (const event of ["dragenter", "dragover", "drop"]) {
          at.dispatchEvent(new DragEvent(event, { bubbles: true, cancelable: true, dataTransfer: transfer }));
        }
      },
      [readFileSync(file).toString("base64"), type, selector],
    ),
  screenshot: (page, { path, options = {} }) => page.screenshot({ path, ...options }).then(() => null),
  emulate: (page, { media, size }) =>
    Promise.all([media && page.emulateMedia(media), size && page.setViewportSize(size)]).then(() => null),
  network: (page, { offline }) => page.context().setOffline(offline),
  permissions: async (page, { granted }) => {
    await page.context().clearPermissions();
    await page.context().grantPermissions(granted);
  },
  played: (page) => page.evaluate(played),
  async accessibility(page) {
    await page.evaluate(readFileSync(require.resolve("axe-core/axe.min.js"), "utf8"));
    const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
    return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html.slice(0, 120)).join(" | ")}`);
  },
  problems: async () => problems.splice(0),
  close: (page) => page.close(),
};

async function run({ id, page, do: name, with: options = {} }) {
  try {
    const value = await actions[name](pages.get(page), { page, ...options });
    return { id, value: value === undefined || typeof value?.url === "function" ? null : value };
  } catch (error) {
    const shown = await pages.get(page)?.evaluate("document.body.innerText").catch(() => "nothing: it is closed or gone");
    return { id, error: `${error?.message ?? error}; the page shows: ${shown}` };
  }
}

process.stdout.write(`${JSON.stringify({ version: browser.version() })}\n`);
for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await run(JSON.parse(line)))}\n`);
}
await browser.close();
