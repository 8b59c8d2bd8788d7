import { afterEach, describe, expect, it, vi } from "vitest";
import { api, problemOf } from "./api";
import { session } from "./session.svelte";

const info = (id: number, csrf: string) => ({
  user: { id, name: "kim" + id, role: "operator" },
  csrf,
  expires_at: "2026-01-01T00:00:00Z",
  version: "1",
});

/** Answers requests one after the other, and notes them. */
function answers(...list: [number, unknown][]) {
  const seen: string[] = [];
  vi.stubGlobal("fetch", async (url: string, init: RequestInit) => {
    const headers = new Headers(init.headers);
    seen.push(`${init.method} ${url} ${headers.get("X-CSRF-Token") ?? ""} ${init.body ?? ""}`.trim());
    const [status, body] = list.shift()!;
    return status === 204 ? new Response(null, { status }) : Response.json(body, { status });
  });
  return seen;
}

afterEach(() => vi.unstubAllGlobals());

const gone: [number, unknown] = [401, { code: "not-signed-in", detail: "Sign in." }];

describe("api", () => {
  it("signs in again over the page and sends the request once more", async () => {
    const seen = answers([200, info(1, "one")], gone, [200, info(1, "two")], [200, { ok: true }]);
    await session.load();
    const asked = api.post("/api/v1/x", { typed: "text" });
    await vi.waitFor(() => expect(session.expired).toBe(true));
    await session.signIn("kim1", "secret");
    expect(await asked).toEqual({ ok: true });
    expect(session.expired).toBe(false);
    expect(seen).toEqual([
      "GET /api/session",
      'POST /api/v1/x one {"typed":"text"}',
      'POST /api/session one {"user":"kim1","password":"secret"}',
      'POST /api/v1/x two {"typed":"text"}',
    ]);
  });

  it("does not send in another user's name what the first began", async () => {
    const seen = answers([200, info(1, "one")], gone, [200, info(2, "two")]);
    await session.load();
    const asked = api.post("/api/v1/x").catch(problemOf);
    await vi.waitFor(() => expect(session.expired).toBe(true));
    await session.signIn("kim2", "secret");
    expect(await asked).toMatchObject({ status: 401, code: "not-signed-in" });
    expect(seen.length).toBe(3);
  });

  it("takes the new token after another tab signed in", async () => {
    const seen = answers(
      [200, info(1, "one")],
      [403, { code: "cross-site", detail: "no" }],
      [200, info(1, "two")],
      [204, null],
    );
    await session.load();
    await api.put("/api/v1/x", {});
    expect(seen.at(-1)).toBe("PUT /api/v1/x two {}");
  });

  it("tells what is wrong, with which field", async () => {
    answers([
      422,
      { code: "invalid-request", detail: "no", errors: [{ field: "body.config.port", detail: "too high" }], job: 7 },
    ]);
    const problem = await api.post("/api/v1/servers", {}).catch(problemOf);
    expect(problem).toMatchObject({ status: 422, code: "invalid-request", detail: "no", job: 7 });
    expect((problem as ReturnType<typeof problemOf>).field("port")).toBe("too high");
  });

  it("knows what roles may do", async () => {
    answers([200, info(1, "one")]);
    await session.load();
    expect((["control", "rcon", "configure", "install", "users"] as const).map((p) => session.can(p))).toEqual([
      true,
      true,
      false,
      false,
      false,
    ]);
  });
});
