import { expect, test } from "vitest";
import { pieces, plain } from "./ansi";

test("a line without colours is one piece, whatever it says", () => {
  const hostile = "<img src=x onerror=alert(1)> \\x1b]0;title\\x07 [31m";
  expect(pieces(hostile)).toEqual([{ text: hostile, style: "" }]);
  expect(pieces("")).toEqual([]);
});

test("colours are read in both forms", () => {
  expect(pieces("a\\x1b[1;31mred\\x1b[0m b")).toEqual([
    { text: "a", style: "" },
    { text: "red", style: "fg1 bold" },
    { text: " b", style: "" },
  ]);
  expect(pieces("\u001b[92mok\u001b[39;44mon\u001b[mx")).toEqual([
    { text: "ok", style: "fg10" },
    { text: "on", style: "bg4" },
    { text: "x", style: "" },
  ]);
});

test("extended colours become the nearest of sixteen, and numbers out of range none", () => {
  const style = (codes: string) => pieces(`\\x1b[${codes}mx`)[0]?.style;
  expect(style("38;5;196")).toBe("fg9");
  expect(style("38;2;0;100;0")).toBe("fg2");
  expect(style("48;5;255")).toBe("bg15");
  expect(style("38;5;999")).toBe("");
  expect(style("38")).toBe("");
  expect(style("999;38;2")).toBe("fg8");
});

test("the searched text has no colours in it", () => {
  expect(plain("a\\x1b[1;31mred\\x1b[0m b")).toBe("ared b");
  expect(plain("plain")).toBe("plain");
});
