// Passwords that the page makes up.

// Without what is taken for another: 0 and O, 1 and l and I.
const LETTERS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const GROUPS = 4;
const GROUP = 5;

/** A password of 20 random characters in groups, 116 bits: "kR7wq-…". */
export function generate(
  random: (bytes: Uint8Array<ArrayBuffer>) => unknown = (b) => crypto.getRandomValues(b),
): string {
  const fair = 256 - (256 % LETTERS.length); // above it some letters would come more often
  let out = "";
  const bytes = new Uint8Array(64);
  for (let n = 0; n < GROUPS * GROUP;) {
    random(bytes);
    for (const b of bytes) {
      if (b >= fair || n >= GROUPS * GROUP) continue;
      if (n > 0 && n % GROUP === 0) out += "-";
      out += LETTERS[b % LETTERS.length];
      n++;
    }
  }
  return out;
}
