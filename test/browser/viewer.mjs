// What a viewer must not find on the page, and must not be let do without it.

// Buttons that change only what is shown, and the user's own way out.
const HARMLESS = [
  /^Sign out$/,
  /^Dismiss$/,
  /^Close$/,
  /^(Server|State|Since|Wanted|Map|Players|Memory|CPU)( [↓↑])?$/,
  /^\d+ needs? a look$/,
  /^Copy/,
  /^(Download|Times|Wrap|Pause|Follow|Found before|Found next)$/,
  /^(Look again|Try again|Try now|Older ones|Older|Show all|Reload)/,
  /^(Hour|Day|Week|Month)$/,
];

/** The buttons and fields on a page that a viewer has no use for. */
export async function acts(page) {
  const buttons = await page.getByRole("button").all();
  const names = await Promise.all(buttons.map((b) => b.evaluate((e) => (e.getAttribute("aria-label") ?? e.textContent).trim().replace(/\s+/g, " "))));
  const fields = await page
    .locator("main :is(input, textarea):not([type=search], [type=radio], :disabled, [readonly])")
    .evaluateAll((all) => all.map((e) => `the field ${e.id || e.name || e.type}`));
  return [...names.filter((name) => !HARMLESS.some((h) => h.test(name))), ...fields];
}

const DEEDS = [
  ["POST", "/api/v1/servers", { name: "intruder" }],
  ["POST", "/api/v1/servers/NAME/start"],
  ["POST", "/api/v1/servers/NAME/stop"],
  ["POST", "/api/v1/servers/NAME/restart"],
  ["POST", "/api/v1/servers/NAME/reset"],
  ["POST", "/api/v1/servers/NAME/rcon", { command: "quit" }],
  ["PATCH", "/api/v1/servers/NAME", { config: { map: "c2m1_highway" } }],
  ["DELETE", "/api/v1/servers/NAME"],
  ["PUT", "/api/v1/servers/NAME/secrets/rcon", { value: "guess-me-not" }],
  ["GET", "/api/v1/servers/NAME/backups"],
  ["POST", "/api/v1/servers/NAME/backups"],
  ["POST", "/api/v1/servers/NAME/backups/1/restore"],
  ["DELETE", "/api/v1/servers/NAME/backups/1"],
  ["POST", "/api/v1/actions", { action: "stop", servers: ["NAME"] }],
  ["POST", "/api/v1/jobs/1/cancel"],
  ["POST", "/api/v1/resync"],
  ["POST", "/api/v1/install", {}],
  ["POST", "/api/v1/alerts/test"],
  ["POST", "/api/v1/orphans/left4me-server@x.service/adopt"],
  ["POST", "/api/v1/orphans/left4me-server@x.service/disable"],
  ["DELETE", "/api/v1/overlays/x"],
  ["GET", "/api/users"],
  ["POST", "/api/users", { name: "intruder", role: "admin", password: "no-mercy-4-players" }],
  ["PATCH", "/api/users/bill", { role: "admin" }],
  ["DELETE", "/api/users/alice"],
];

/** How many deeds are tried. */
export const known = DEEDS.length;

/** Tries all that a viewer may not, with the session's own token: what is answered. */
export function forbidden(page, name) {
  const deeds = JSON.parse(JSON.stringify(DEEDS).replaceAll("NAME", name));
  return page.evaluate(async (deeds) => {
    const { csrf } = await (await fetch("/api/session")).json();
    const answers = [];
    for (const [method, path, body] of deeds) {
      const response = await fetch(path, {
        method,
        headers: { "X-CSRF-Token": csrf, "Content-Type": "application/json" },
        body: method === "GET" ? undefined : JSON.stringify(body ?? {}),
      });
      const { code } = await response.json().catch(() => ({}));
      answers.push({ method, path, status: response.status, code });
    }
    return answers;
  }, deeds);
}
