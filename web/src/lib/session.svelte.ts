// Who is signed in, and what that role may do.
import { api, keepSession, Problem, problemOf } from "./api";
import type { Role, SessionInfo, User } from "./types";

/** What a role may do beyond looking. */
export type Power = "control" | "rcon" | "configure" | "install" | "users";

const NEEDS: Record<Power, Role> = {
  control: "operator",
  rcon: "operator",
  configure: "admin",
  install: "admin",
  users: "admin",
};

const RANK: Record<Role, number> = { viewer: 0, operator: 1, admin: 2 };

class Session {
  user = $state.raw<User | null>(null);
  version = $state("");
  /** Whether the first question, who is signed in, was answered. */
  known = $state(false);
  /** There is no user yet: the one-time link makes the first. */
  setup = $state(false);
  /** The session ended while the page was in use. */
  expired = $state(false);
  /** The sign-in stands over the page: until it is closed, the page stays to be read. */
  asking = $state(false);
  /** Why it is not known who is signed in. */
  trouble = $state.raw<Problem | null>(null);

  #csrf = "";
  #waiting: ((same: boolean) => void)[] = [];

  constructor() {
    keepSession({
      csrf: () => this.#csrf,
      signInAgain: () => this.signInAgain(),
      renew: () => this.#renew(),
    });
  }

  /** Whether the user's role allows it. The server decides; this only hides what it would refuse. */
  can(power: Power): boolean {
    return this.user !== null && RANK[this.user.role] >= RANK[NEEDS[power]];
  }

  /** Asks who is signed in. */
  async load(): Promise<void> {
    try {
      this.#entered(await api.get<SessionInfo>("/api/session", undefined, { raw: true }));
      this.trouble = null;
    } catch (thrown) {
      const problem = problemOf(thrown);
      if (problem.code === "not-signed-in") {
        this.known = true;
        this.trouble = null;
        this.setup = problem.setup;
        if (this.user && !this.expired) this.expired = this.asking = true;
        return;
      }
      this.trouble = problem;
    }
  }

  async signIn(user: string, password: string): Promise<void> {
    this.#entered(await api.post<SessionInfo>("/api/session", { user, password }, undefined, { raw: true }));
  }

  /** Makes the first user with the one-time link's token, and signs in. */
  async setUp(token: string, user: string, password: string): Promise<void> {
    this.#entered(await api.post<SessionInfo>("/api/setup", { token, user, password }, undefined, { raw: true }));
  }

  async signOut(): Promise<void> {
    try {
      await api.del("/api/session", undefined, { raw: true });
    } catch (thrown) {
      if (problemOf(thrown).code !== "not-signed-in") throw thrown;
    }
    this.#leave();
  }

  /** Opens the sign-in over the page; true once the same user is back. */
  signInAgain(): Promise<boolean> {
    if (!this.user) return Promise.resolve(false);
    this.expired = this.asking = true;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** The user closed the sign-in: what waited fails, the page stays. */
  giveUp(): void {
    this.asking = false;
    this.#settle(false);
  }

  /** A new token for the same user, after another tab signed in again. */
  async #renew(): Promise<boolean> {
    const before = this.user?.id;
    const token = this.#csrf;
    await this.load();
    return this.user?.id === before && !this.expired && this.#csrf !== token;
  }

  #entered(info: SessionInfo): void {
    const before = this.user;
    this.#take(info);
    this.known = true;
    this.setup = false;
    this.expired = this.asking = false;
    // What another user began is not sent in this one's name.
    this.#settle(before === null || before.id === info.user.id);
  }

  #settle(same: boolean): void {
    for (const resolve of this.#waiting.splice(0)) resolve(same);
  }

  #take(info: SessionInfo): void {
    this.#csrf = info.csrf;
    this.version = info.version;
    const u = info.user;
    if (this.user?.id !== u.id || this.user.role !== u.role || this.user.name !== u.name) this.user = u;
  }

  #leave(): void {
    this.#csrf = "";
    this.user = null;
    this.expired = this.asking = false;
    this.#settle(false);
  }
}

export const session = new Session();
