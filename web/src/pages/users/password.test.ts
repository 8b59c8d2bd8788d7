import { expect, it } from "vitest";
import { generate } from "./password";

it("makes passwords that can be read out and are never the same", () => {
  const made = new Set(Array.from({ length: 50 }, () => generate()));
  expect(made.size).toBe(50);
  for (const one of made) expect(one).toMatch(/^([a-km-zA-HJ-NP-Z2-9]{5}-){3}[a-km-zA-HJ-NP-Z2-9]{5}$/);
});

it("draws each letter as often as any other", () => {
  let next = 0;
  const all = generate((bytes) => bytes.forEach((_, i) => (bytes[i] = next++ % 256)));
  // 224 is the largest multiple of 56 letters below 256: above it nothing counts.
  expect(generate((bytes) => bytes.forEach((_, i) => (bytes[i] = i < 40 ? 255 : 0)))).toBe("aaaaa-aaaaa-aaaaa-aaaaa");
  expect(all).toBe("abcde-fghij-kmnpq-rstuv");
});
