import { expect, it, vi } from "vitest";
import { PAGE, Pages } from "./pages.svelte";

const from = (newest: number) => (before: number | undefined) => {
  const top = before === undefined ? newest : before - 1;
  return Array.from({ length: Math.min(PAGE, top) }, (_, i) => ({ id: top - i }));
};

it("is read page by page, and grows at its top", async () => {
  let newest = 120;
  const pages = new Pages(async (before) => from(newest)(before));
  await pages.top.refresh();
  await pages.older();
  expect([pages.list.length, pages.more]).toEqual([100, true]);
  newest = 121;
  await pages.top.refresh();
  expect([pages.list.length, pages.list[0]?.id, pages.more]).toEqual([101, 121, true]);
  await pages.older();
  expect([pages.list.length, pages.list.at(-1)?.id, pages.more]).toEqual([121, 1, false]);
});

it("hides no gap", async () => {
  let newest = 60;
  const pages = new Pages(async (before) => from(newest)(before));
  await pages.top.refresh();
  await pages.older();
  newest = 500;
  await pages.top.refresh();
  expect([pages.list[0]?.id, pages.list.length, pages.more]).toEqual([500, PAGE, true]);
});

it("drops what a former filter is answered", async () => {
  const answers: ((page: { id: number }[]) => void)[] = [];
  const pages = new Pages(() => new Promise<{ id: number }[]>((resolve) => answers.push(resolve)));
  void pages.top.refresh();
  pages.restart();
  answers[0]!([{ id: 1 }]);
  await vi.waitFor(() => expect(answers).toHaveLength(2));
  answers[1]!([{ id: 2 }]);
  await vi.waitFor(() => expect(pages.list).toEqual([{ id: 2 }]));
});
