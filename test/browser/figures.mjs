// How fast the page is: what the test prints as figures.
import { ask, base, must, run, say, shell, signIn, visitor } from "./lib.mjs";

const { FIGURES_USER: user, FIGURES_PASSWORD: password, FIGURES_SERVER: name } = process.env;
const servers = Number(process.env.FIGURES_SERVERS);
const kills = Number(process.env.FIGURES_KILLS);

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

run(async (chrome) => {
  const page = await visitor(chrome, user);
  await signIn(page, user, password);
  await firstLoad(chrome, page);
  await latency(page);
});

/** How much comes over the wire, and how long it takes until all servers can be used. */
async function firstLoad(chrome, signedIn) {
  const context = await chrome.newContext({ baseURL: base, storageState: await signedIn.context().storageState() });
  const page = await context.newPage();
  const cdp = await context.newCDPSession(page);
  await cdp.send("Network.enable");
  const paths = new Map();
  let files = 0;
  let state = 0;
  cdp.on("Network.requestWillBeSent", (e) => paths.set(e.requestId, new URL(e.request.url).pathname));
  cdp.on("Network.loadingFinished", (e) => {
    const path = paths.get(e.requestId) ?? "";
    if (path === "/api/state") state += e.encodedDataLength;
    else if (!path.startsWith("/api/")) files += e.encodedDataLength;
  });
  await page.goto("/", { waitUntil: "commit" });
  const usable = await page.waitForFunction(
    (rows) => {
      const table = document.querySelector('[role="table"]');
      if (table?.querySelectorAll('[role="row"]').length !== rows + 1) return false;
      return performance.now();
    },
    servers,
    { polling: "raf" },
  );
  const ms = await usable.jsonValue();
  await page.waitForTimeout(300); // what is small and comes last is counted, too
  await ask("figure", "first load, bytes", files);
  await ask("figure", `the picture of ${servers} servers, bytes`, state);
  await ask("figure", `usable with ${servers} servers, ms`, ms);
  await context.close();
}

/** How long after a kill the page shows it, against a bare listener at left4med's socket. */
async function latency(page) {
  await page.goto("/");
  const badge = page.getByRole("row").filter({ has: page.getByRole("link", { name, exact: true }) }).locator(".badge").first();
  await badge.filter({ hasText: "running" }).waitFor();
  await page.evaluate((name) => {
    const link = [...document.querySelectorAll('[role="row"] a')].find((a) => a.textContent === name);
    globalThis.row = link.closest('[role="row"]');
    globalThis.seen = [];
    globalThis.tasks = [];
    new MutationObserver(() => {
      seen.push({ at: performance.timeOrigin + performance.now(), state: row.querySelector(".badge").textContent });
    }).observe(row, { subtree: true, childList: true, characterData: true });
    new PerformanceObserver((list) => tasks.push(...list.getEntries().map((e) => e.duration))).observe({ type: "longtask" });
  }, name);
  const heard = [];
  const shown = [];
  // Not by a locator, which goes through all rows again and again in the page itself.
  const runs = () =>
    page.waitForFunction(() => row.querySelector(".badge").textContent.includes("running"), undefined, { polling: 50 });
  for (let i = 0; i < kills; i++) {
    await runs();
    await page.evaluate(() => (seen.length = 0));
    const at = JSON.parse(await ask("kill", name));
    const saw = await page.waitForFunction(() => seen.find((s) => !s.state.includes("running")), undefined, { polling: 20 });
    heard.push(at.heard - at.killed);
    shown.push((await saw.jsonValue()).at - at.killed);
  }
  const tasks = await page.evaluate(() => tasks);
  const ratio = median(shown) / median(heard);
  say(`heard after ${heard.map((n) => n.toFixed(1))} ms, shown after ${shown.map((n) => n.toFixed(1))} ms`);
  await ask("figure", "a kill is heard at left4med's socket, ms", median(heard));
  await ask("figure", "a kill is shown by the page, ms", median(shown));
  await ask("figure", "shown against heard", ratio);
  await ask("figure", "the page's longest work at once meanwhile, ms", Math.max(0, ...tasks));
  must(ratio <= 5, `the page shows a kill ${ratio.toFixed(1)} times later than a bare listener hears of it`);
}
