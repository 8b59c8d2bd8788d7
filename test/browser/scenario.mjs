// What a person does with the page, from the first sign-in on. The order matters: each
// part leaves the machine to the next.
import { ask, look, must, run, say, shell, signIn, visitor, wrong } from "./lib.mjs";
import { acts, forbidden, known } from "./viewer.mjs";

const ADMIN = { name: "alice", password: "no-mercy-4-players" };
const VIEWER = { name: "bill" };
const NAME = "versus-1";
const HOSTNAME = "Versus, expert only";
const FOREIGN = `<img src=x onerror=alert(1)>`;
const PLAYER = `<script>alert(2)</script>`;
const LOGLINE = `<img src=x onerror=alert(3)><b>log</b>`;

const row = (page, name = NAME) => page.getByRole("row").filter({ has: page.getByRole("link", { name, exact: true }) });
const part = (page, words) => page.getByRole("navigation", { name: /^(Sections|Parts)/ }).getByRole("link", { name: words });

run(async (chrome) => {
  const page = await visitor(chrome, "alice");
  const step = async (words, body) => {
    const begun = performance.now();
    await body();
    say(`${words}: ${((performance.now() - begun) / 1000).toFixed(1)} s`);
  };

  await step("the first sign-in by the one-time link", () => firstSignIn(page));
  await step("a server is created and started", () => create(page));
  await step("players are seen", () => players(page));
  await step("drift shows, and is cured", () => drift(page));
  await step("settings are changed", () => settings(page));
  await step("the console is followed, and a command sent", () => consoleAndRcon(page));
  await step("foreign text is shown and not run", () => foreign(page));
  await step("every page is looked at", () => everyPage(page));
  await step("a reboot is lived through", () => reboot(page));
  const viewer = await visitor(chrome, "bill");
  await step("a user is added", () => addViewer(page));
  await step("a viewer has nothing that acts", () => viewing(page, viewer));
  const elsewhere = await visitor(chrome, "alice elsewhere");
  await step("a session that ends keeps what was typed", () => expired(page, elsewhere));
});

async function firstSignIn(page) {
  const log = await shell("journalctl --no-pager -o cat -u left4med-web");
  const token = log.match(/http:\/\/127\.0\.0\.1:8000\/setup#(\S+?)[\s`"']/)?.[1];
  must(token, `the log of left4med-web has no one-time link:\n${log}`);
  await page.goto("/");
  await page.getByText("There is no user yet.").waitFor();
  await look(page, "no-user");
  await page.goto(`/setup#${token}`);
  await look(page, "setup");
  await page.getByLabel("User", { exact: true }).fill(ADMIN.name);
  await page.getByLabel("Password", { exact: true }).fill(ADMIN.password);
  await page.getByLabel("Password once more").fill(ADMIN.password);
  await page.getByRole("button", { name: /Make the user/ }).click();
  await page.getByRole("heading", { name: "No servers yet" }).waitFor();
  await look(page, "empty");
  const again = await page.context().browser().newContext();
  const stranger = await again.newPage();
  await stranger.goto(new URL(`/setup#${token}`, page.url()).href);
  await stranger.getByText("this link is of no use any more").waitFor();
  await again.close();
}

async function create(page) {
  await page.getByRole("button", { name: /create (a|the first) server/i }).first().click();
  const dialog = page.getByRole("dialog", { name: "Create a server" });
  await dialog.getByLabel("Name", { exact: true }).fill("Not A Name");
  await dialog.getByRole("button", { name: /^Create/ }).click();
  await dialog.locator(".field.wrong").first().waitFor();
  await look(page, "create");
  await dialog.getByLabel("Name", { exact: true }).fill(NAME);
  await dialog.getByLabel(/^Host name/).fill(HOSTNAME);
  await dialog.getByRole("button", { name: /^Create/ }).click();
  await row(page).locator(".badge.running").waitFor();
  await page.getByText(/versus-1: started/).first().waitFor();
  await look(page, "one-server");
}

async function players(page) {
  await ask("standin", NAME, `join ${PLAYER}`);
  await ask("standin", NAME, "join Zoey");
  await row(page).getByText("2 / 8").waitFor();
  await page.getByRole("link", { name: NAME, exact: true }).click();
  await part(page, "Players").click();
  await page.getByRole("cell", { name: "Zoey", exact: true }).waitFor();
  await page.getByRole("cell", { name: PLAYER, exact: true }).waitFor();
  await look(page, "players");
}

async function drift(page) {
  await page.getByRole("link", { name: "left4med", exact: true }).click();
  await row(page).locator(".badge.running").waitFor();
  await shell(`l4d2ctl initialize coop-1 --hostname "Campaigns for all" --map c2m1_highway
    l4d2ctl start coop-1
    l4d2ctl initialize realism-1 --hostname "Realism on Sundays" --map c5m1_waterfront`);
  await row(page, "coop-1").locator(".badge.running").waitFor();
  await row(page, "realism-1").locator(".badge.stopped").waitFor();
  await shell(`systemctl stop left4me-server@${NAME}.service`);
  await row(page).locator(".drift-badge").filter({ hasText: "down" }).waitFor();
  await look(page, "drift");
  await row(page).getByRole("button", { name: `Start ${NAME}`, exact: true }).click();
  await row(page).locator(".badge.running").waitFor();
  await row(page).locator(".drift-badge").waitFor({ state: "detached" });
}

async function settings(page) {
  await page.getByRole("link", { name: NAME, exact: true }).click();
  await part(page, "Settings").click();
  await page.getByLabel(/^Map/).fill("no map");
  await page.getByLabel(/^Host name/).fill(FOREIGN);
  await page.getByRole("button", { name: "Save changes" }).click();
  await page.locator(".field.wrong").filter({ hasText: "Map" }).waitFor();
  await page.getByLabel(/^Map/).fill("c1m1_hotel");
  await page.getByRole("button", { name: "Save changes" }).click();
  await page.getByText(/Some take effect at the next start/).first().waitFor();
}

async function consoleAndRcon(page) {
  await part(page, "Console").click();
  const log = page.getByRole("log", { name: `Console of ${NAME}` });
  await ask("standin", NAME, `print "the first line, \\x1b[31mred\\x1b[0m"`);
  await log.getByText("the first line").waitFor();
  await page.getByLabel(/^Command for the game/).fill("status");
  await page.getByRole("button", { name: "Send" }).click();
  await page.locator(".rcon .answer").filter({ hasText: /hostname|map/ }).waitFor();
  await look(page, "console");
}

async function foreign(page) {
  await ask("standin", NAME, `print ${JSON.stringify(LOGLINE)}`);
  await page.getByRole("log", { name: `Console of ${NAME}` }).getByText(LOGLINE, { exact: false }).waitFor();
  await ask("standin", NAME, `join ${PLAYER}`);
  await page.getByText(FOREIGN).first().waitFor();
  const made = await page.evaluate(() => document.querySelectorAll("img, main script, main b").length);
  if (made > 0) wrong(`foreign text became ${made} elements of the page`);
}

async function everyPage(page) {
  for (const [tab, heading] of [["Figures"], ["History"], ["Settings"], ["Backups"]].map(([t]) => [t, t])) {
    await part(page, tab).click();
    await page.getByRole("heading", { name: heading }).first().waitFor();
    await settled(page);
    await look(page, `server-${tab.toLowerCase()}`);
  }
  await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Host" }).click();
  await page.getByRole("heading", { name: "left4med and its parts" }).waitFor();
  await settled(page);
  await look(page, "host");
  await page.getByRole("button", { name: "Resync now" }).click();
  await page.getByText("All servers were compared with systemd.").waitFor();
  await page.getByRole("button", { name: /^(Update|Install)…/ }).click();
  await page.getByRole("dialog").getByText("When nobody plays").waitFor();
  await look(page, "host-install");
  await page.keyboard.press("Escape");
  await overlaysAndOrphans(page);
  await part(page, "Jobs").click();
  await page.getByRole("listitem").filter({ hasText: "start" }).first().waitFor();
  await look(page, "host-jobs");
  await part(page, "History").click();
  await page.getByRole("listitem").filter({ hasText: "start asked for" }).filter({ hasText: ADMIN.name }).first().waitFor();
  await look(page, "host-history");
  await page.getByLabel(/^Show/).selectOption("drift");
  await page.getByRole("listitem").filter({ hasText: /down/ }).first().waitFor();
  must((await page.getByText("start asked for").count()) === 0, "the filter of the history shows jobs among drift");
  await page.goto("/account");
  await page.getByText("this browser").waitFor();
  await look(page, "account");
  await page.goto("/nowhere");
  await page.getByRole("heading", { name: "Not found" }).waitFor();
}

/** What is read when a page opens was read. */
const settled = (page) =>
  page.waitForFunction(() => {
    const main = document.querySelector("main");
    return main && !main.querySelector(".loading") && !/(Reading|Loading|Asking) .*…|Loading…/.test(main.innerText);
  });

async function overlaysAndOrphans(page) {
  await shell("mkdir -p /var/lib/left4me/overlays/custom-maps && echo x >/var/lib/left4me/overlays/custom-maps/a.vpk");
  await part(page, "Overlays").click();
  const overlay = page.getByRole("listitem").filter({ hasText: "custom-maps" });
  await overlay.getByText("No server uses it.").waitFor();
  await look(page, "host-overlays");
  await overlay.getByRole("button", { name: /^Delete/ }).click();
  const sure = page.getByRole("dialog");
  await sure.getByRole("textbox").fill("custom-maps");
  await sure.getByRole("button", { name: "Delete the overlay" }).click();
  await page.getByRole("heading", { name: "There are none" }).waitFor();
  await shell("systemctl enable --quiet left4me-server@stray.service");
  await part(page, "Overview").click();
  await page.getByRole("button", { name: "Resync now" }).click();
  await part(page, /^Orphans/).click();
  const stray = page.getByRole("listitem").filter({ hasText: "left4me-server@stray.service" });
  await stray.waitFor();
  await look(page, "host-orphans");
  await stray.getByRole("button", { name: /^Disable and stop/ }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Disable and stop" }).click();
  await stray.waitFor({ state: "detached" });
}

async function reboot(page) {
  await page.goto("/");
  await row(page).locator(".badge.running").waitFor();
  await page.evaluate(() => (globalThis.untouched = true));
  const rebooted = ask("reboot");
  const banner = page.locator(".banner");
  await banner.waitFor();
  await banner.getByText("What you see is from").waitFor();
  await look(page, "broken");
  await rebooted;
  await banner.waitFor({ state: "detached", timeout: 60_000 });
  await row(page).locator(".badge.running").waitFor({ timeout: 60_000 });
  must(await page.evaluate(() => globalThis.untouched === true), "the page was loaded anew");
  await row(page).locator(".drift-badge").waitFor({ state: "detached" });
}

async function addViewer(page) {
  await page.getByRole("link", { name: "Users" }).click();
  await page.getByRole("button", { name: "Add a user" }).click();
  const dialog = page.getByRole("dialog", { name: "Add a user" });
  await dialog.getByLabel("Name", { exact: true }).fill(VIEWER.name);
  await dialog.getByRole("button", { name: "Make one up" }).click();
  VIEWER.password = await dialog.getByLabel("Password", { exact: true }).inputValue();
  await look(page, "users-add");
  await dialog.getByRole("button", { name: "Add", exact: true }).click();
  await page.getByRole("listitem").filter({ hasText: VIEWER.name }).waitFor();
  const self = page.getByRole("listitem").filter({ hasText: ADMIN.name });
  await self.getByRole("combobox").selectOption("viewer");
  await page.getByRole("dialog").getByRole("button", { name: "Become viewer" }).click();
  await self.getByRole("alert").waitFor();
  must((await self.getByRole("combobox").inputValue()) === "admin", "the page shows a role that was refused");
  await look(page, "users");
}

async function viewing(page, viewer) {
  await viewer.goto("/");
  await viewer.getByRole("button", { name: "Sign in" }).waitFor();
  await look(viewer, "sign-in");
  await signIn(viewer, VIEWER.name, VIEWER.password);
  await row(viewer).locator(".badge.running").waitFor();
  for (const path of ["/", `/servers/${NAME}`, ...["players", "figures", "history", "settings", "backups"].map((t) => `/servers/${NAME}/${t}`), "/host", "/host/orphans", "/host/overlays", "/host/jobs", "/host/history", "/users"]) {
    await viewer.goto(path);
    await viewer.getByRole("navigation", { name: "Pages" }).waitFor();
    await settled(viewer);
    const found = await acts(viewer);
    if (found.length) wrong(`a viewer finds on ${path}: ${found.join(", ")}`);
  }
  await viewer.goto("/");
  await row(viewer).waitFor();
  await look(viewer, "viewer");
  const answers = await forbidden(viewer, NAME);
  const let_in = answers.filter((a) => a.status !== 403 || a.code !== "not-authorized");
  if (let_in.length) wrong(`a viewer is let in: ${JSON.stringify(let_in)}`);
  must(answers.length >= known, `only ${answers.length} deeds were tried`);
  await row(page.url().endsWith("/users") ? viewer : page).locator(".badge.running").waitFor();
}

async function expired(page, elsewhere) {
  await page.goto("/");
  await page.getByRole("button", { name: /^Create a server/ }).click();
  const dialog = page.getByRole("dialog", { name: "Create a server" });
  await dialog.getByLabel("Name", { exact: true }).fill("kept-1");
  await dialog.getByLabel(/^Host name/).fill("what was typed");

  await signIn(elsewhere, ADMIN.name, ADMIN.password);
  await elsewhere.goto("/account");
  const others = elsewhere.getByRole("button", { name: /^Sign out (?!$)(everywhere else|.* from )/ });
  await others.first().click();

  const again = page.getByRole("dialog", { name: "Your session ended" });
  await again.waitFor();
  await look(page, "expired");
  await again.getByLabel("Password", { exact: true }).fill(ADMIN.password);
  await again.getByRole("button", { name: "Sign in" }).click();
  await again.waitFor({ state: "detached" });
  must((await dialog.getByLabel("Name", { exact: true }).inputValue()) === "kept-1", "the name that was typed is gone");
  must((await dialog.getByLabel(/^Host name/).inputValue()) === "what was typed", "what was typed is gone");
  await dialog.getByRole("button", { name: /^Create/ }).click();
  await row(page, "kept-1").locator(".badge.running").waitFor();
}
