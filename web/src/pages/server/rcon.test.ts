import { expect, test } from "vitest";
import { fault, hint, History, redact, type Store } from "./rcon";

function store(): Store & { data: Map<string, string> } {
  const data = new Map<string, string>();
  return { data, getItem: (k) => data.get(k) ?? null, setItem: (k, v) => void data.set(k, v) };
}

test("the values of secrets are taken out", () => {
  const cases: [string, string][] = [
    ["status", "status"],
    ["rcon_password hunter2", "rcon_password [secret]"],
    ['say hi; SV_Password "a;b" x; status', "say hi; SV_Password [secret]; status"],
    ['"rcon_password" hunter2;map x', '"rcon_password [secret];map x'],
    ["sv_password", "sv_password"],
    ['sv_password ""', 'sv_password ""'],
    ["sv_setsteamaccount ABC; my_token=1", "sv_setsteamaccount [secret]; my_token [secret]"],
  ];
  expect(cases.map(([c]) => redact(c))).toEqual(cases.map(([, want]) => want));
});

test("the arrow keys go through what was sent and back to what was typed", () => {
  const s = store();
  const h = new History("a", s);
  h.add("status");
  h.add("status");
  h.add("rcon_password hunter2");
  expect(h.older("typ")).toBe("rcon_password [secret]");
  expect(h.older("x")).toBe("status");
  expect(h.older("x")).toBe("status");
  expect(h.newer("x")).toBe("rcon_password [secret]");
  expect(h.newer("x")).toBe("typ");
  expect(h.newer("typ2")).toBe("typ2");
  expect([...s.data.entries()]).toEqual([["left4med.rcon.a", '["status","rcon_password [secret]"]']]);
  expect(new History("a", s).older("")).toBe("rcon_password [secret]");
  expect(new History("b", s).older("typed")).toBe("typed");
});

test("what a store holds that is no history is none", () => {
  const s = store();
  s.setItem("left4med.rcon.a", '{"x":1}');
  expect(new History("a", s).older("")).toBe("");
  s.setItem("left4med.rcon.a", '[1,"status"');
  expect(new History("a", s).older("")).toBe("");
  const refuses: Store = {
    getItem: () => null,
    setItem: () => {
      throw new Error("full");
    },
  };
  const h = new History("a", refuses);
  h.add("status");
  expect(h.older("")).toBe("status");
});

test("a command that the game would not take is told before it is sent", () => {
  expect(fault("status")).toBe("");
  expect(fault("ü".repeat(256))).toBe("This command has 512 bytes; the game takes 510 at most.");
  expect(fault("a\nb")).toBe("A command is one line without control characters.");
});

test("problems have a hint where one helps", () => {
  expect(hint("not-running")).toBe("Start the server first.");
  expect(hint("other")).toBe("");
});
