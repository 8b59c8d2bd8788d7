/** Player as the daemon tells of one. */
export interface Player {
  name: string;
  seconds: number;
  score: number;
  bot?: boolean;
  ping?: number;
  loss?: number;
  state?: string;
  steam_id?: string;
  userid?: number;
}

/** removable says whether the game can be told to part with a player: by its number alone. */
export function removable(p: Player): boolean {
  return !p.bot && isUserID(p.userid);
}

function isUserID(n: unknown): n is number {
  return typeof n === "number" && Number.isSafeInteger(n) && n >= 0;
}

/**
 * same finds the player of an earlier list in a newer one. A number is given anew
 * once the game has restarted, so the Steam id must still be that one, too.
 */
export function same(p: Player, now: Player[]): Player | null {
  return now.find((n) => n.userid === p.userid && n.steam_id === p.steam_id && !n.bot) ?? null;
}

/** kick is the command that removes a player. No name gets into it: a name is the player's to choose. */
export function kick(p: Player, reason: string): string {
  const why = clean(reason);
  return `kickid ${id(p)}` + (why === "" ? "" : ` ${why}`);
}

/** longestBan is in minutes: a year. */
export const longestBan = 525_600;

/** ban is the command that bans a player for so many minutes, 0 for ever, and keeps the ban over a restart. */
export function ban(p: Player, minutes: number): string {
  if (!Number.isSafeInteger(minutes) || minutes < 0 || minutes > longestBan)
    throw new RangeError(`a ban takes a whole number of minutes: 0 for ever, or up to ${longestBan}`);
  return `banid ${minutes} ${id(p)} kick;writeid`;
}

function id(p: Player): number {
  if (!isUserID(p.userid)) throw new TypeError("this player has no number to remove it by");
  return p.userid;
}

/** clean is a reason that can neither end the command nor its own text. */
export function clean(reason: string): string {
  return reason
    .replace(/["';\\]/g, "")
    .replace(/[\p{C}\p{Z}]+/gu, " ")
    .replace(/\/{2,}/g, "/")
    .trim()
    .slice(0, 100)
    .trim();
}

/** lasting is how long somebody plays: "1 h 05 min". */
export function lasting(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  return `${Math.floor(s / 3600)} h ${String(Math.floor((s % 3600) / 60)).padStart(2, "0")} min`;
}
