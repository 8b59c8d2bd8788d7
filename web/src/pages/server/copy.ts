import { toasts } from "../../lib/toasts.svelte";

/** copy puts a text on the clipboard, and says whether that worked. */
export async function copy(text: string, what: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    toasts.done(`${what} was copied.`);
  } catch {
    // Browsers give the clipboard to pages by https, or on this machine, alone.
    toasts.error(`${what} cannot be copied: the browser does not allow it here. Select it and copy it by hand.`);
  }
}

/** save has the browser store a text as a file. */
export function save(name: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}
