import { expect, test } from "vitest";
import { ban, clean, kick, lasting, removable, same, type Player } from "./players";

const nick: Player = { name: '5;quit "', seconds: 10, score: 3, userid: 7, steam_id: "STEAM_1:0:1" };

test("commands hold the number and never the name", () => {
  expect(kick(nick, "")).toBe("kickid 7");
  expect(kick(nick, 'be nice; quit\n"rcon_password x" // no')).toBe("kickid 7 be nice quit rcon_password x / no");
  expect(ban(nick, 60)).toBe("banid 60 7 kick;writeid");
  expect(ban(nick, 0)).toBe("banid 0 7 kick;writeid");
});

test("what is no number is refused", () => {
  for (const userid of [undefined, -1, 1.5, Number.NaN, "7;quit" as unknown as number])
    expect(() => kick({ ...nick, userid }, "x")).toThrow(TypeError);
  for (const minutes of [-1, 1.5, Number.NaN, 525_601, "5" as unknown as number])
    expect(() => ban(nick, minutes)).toThrow(RangeError);
});

test("bots and players without a number cannot be removed", () => {
  expect([nick, { ...nick, bot: true }, { ...nick, userid: undefined }].map(removable)).toEqual([true, false, false]);
});

test("a player is the same only with number and Steam id", () => {
  expect(same(nick, [{ ...nick, name: "renamed" }])?.name).toBe("renamed");
  expect(same(nick, [{ ...nick, steam_id: "STEAM_1:0:2" }])).toBe(null);
  expect(same(nick, [])).toBe(null);
});

test("reasons are cut and cleaned", () => {
  expect(clean("a\u202eb\t c")).toBe("a b c");
  expect(clean("x".repeat(300)).length).toBe(100);
  expect([0, 59, 60, 3599, 3660, 36000].map(lasting)).toEqual([
    "0 s",
    "59 s",
    "1 min",
    "59 min",
    "1 h 01 min",
    "10 h 00 min",
  ]);
});
