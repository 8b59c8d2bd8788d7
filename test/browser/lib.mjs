// What the scripts of this directory share: the talk with the Go test that runs them,
// the browser, and what is looked for on every page.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import axe from "axe-core";
import { chromium } from "playwright-core";

export const base = process.env.LEFT4MED_PAGE;

const waiting = new Map();
let next = 1;
const input = createInterface({ input: process.stdin });
input.on("line", (text) => {
  const { id, out, error } = JSON.parse(text);
  const { resolve, reject } = waiting.get(id);
  waiting.delete(id);
  error ? reject(new Error(error)) : resolve(out);
});

const tell = (line) => process.stdout.write(JSON.stringify(line) + "\n");

/** Says something in the test's log. */
export const say = (text) => tell({ say: text });

/** Has the test do something to the machine. */
export function ask(what, ...args) {
  const id = next++;
  tell({ id, do: what, args: args.map(String) });
  return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
}

export const shell = (script) => ask("shell", script);

/** What was found wrong and did not end the script. */
export const wrongs = [];

export function wrong(text) {
  wrongs.push(text);
  say("WRONG: " + text);
}

/** Throws unless a condition holds. */
export function must(ok, text) {
  if (!ok) throw new Error(text);
}

/** Debian's Chromium. */
export function browser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    // Root's Chromium has no sandbox; what it shows is the product's own page.
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
  });
}

/** A browser window of its own, whose complaints are noted. */
export async function visitor(chrome, name) {
  const context = await chrome.newContext({ baseURL: base, locale: "en-GB", timezoneId: "UTC" });
  context.setDefaultTimeout(30_000);
  const page = await context.newPage();
  page.on("dialog", (dialog) => {
    wrong(`${name}: foreign text was run: it opened a dialog, ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("pageerror", (error) => wrong(`${name}: the page threw ${error.stack}`));
  page.on("console", (message) => {
    const text = message.text();
    // The browser's own words on refusals and breaks, which the page shows in its way.
    if (message.type() === "error" && !text.startsWith("Failed to load resource")) wrong(`${name}: ${text}`);
  });
  return page;
}

export async function signIn(page, user, password) {
  await page.goto("/");
  await page.getByLabel("User", { exact: true }).fill(user);
  await page.getByLabel("Password", { exact: true }).fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("navigation", { name: "Pages" }).waitFor();
}

const LOOKS = [
  { look: "light", colorScheme: "light", size: { width: 1360, height: 850 } },
  { look: "dark", colorScheme: "dark", size: { width: 1360, height: 850 } },
  { look: "phone", colorScheme: "light", size: { width: 360, height: 740 } },
];

const shots = process.env.LEFT4MED_SHOTS;
let shot = 0;

/** Keeps pictures of a page as it is, light, dark and on a phone, and has axe look at each. */
export async function look(page, name) {
  mkdirSync(shots, { recursive: true });
  const number = String(++shot).padStart(2, "0");
  for (const { look, colorScheme, size } of LOOKS) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.setViewportSize(size);
    // A new size reaches the layout some frames later.
    await page.waitForFunction((width) => innerWidth === width && document.body.offsetWidth <= width, size.width);
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    await page.screenshot({ path: join(shots, `${number}-${name}-${look}.png`), fullPage: true });
    await check(page, `${name}, ${look}`);
    const beyond = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (beyond > 0) wrong(`${name}, ${look}: the page is ${beyond} px wider than the window`);
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize(LOOKS[0].size);
}

/** Notes what axe finds. */
async function check(page, where) {
  // Evaluated by the debugger, which the page's policy does not concern.
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  for (const v of violations) {
    const nodes = v.nodes.slice(0, 4).map((n) => `${n.target.join(" ")}: ${n.failureSummary.replaceAll("\n", " ")}`);
    wrong(`${where}: axe: ${v.id} (${v.impact}): ${v.help}\n    ${nodes.join("\n    ")}`);
  }
}

/** Runs a script's body; its end is the process's. */
export async function run(body) {
  const chrome = await browser();
  let status = 0;
  try {
    await body(chrome);
  } catch (error) {
    console.error(error.stack ?? error);
    for (const [i, context] of chrome.contexts().entries()) {
      for (const page of context.pages()) {
        await page.screenshot({ path: join(shots, `failed-${i}.png`) }).catch(() => {});
      }
    }
    status = 1;
  }
  await chrome.close();
  if (wrongs.length) {
    console.error(`${wrongs.length} things were wrong:\n${wrongs.join("\n")}`);
    status = 1;
  }
  input.close();
  process.exitCode = status;
}
