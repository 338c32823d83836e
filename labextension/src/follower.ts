import { badge, type StatusAnswer } from "./answer.js";
import { pause } from "./follow.js";

/** Asks for a path's status; asked: the user wants it even where it reaches beyond the workspace's directory. */
export type Ask = (path: string, asked: boolean) => Promise<StatusAnswer>;

/** Keeps the answer for one path at a time current, and tells who listens. */
export class Follower {
  answer: StatusAnswer | null = null;
  path = "";
  /** Whether somebody looks at more than the badge. */
  seen = (): boolean => false;
  private timer = 0;
  private turn = 0;
  private said = "";
  private readonly listeners: (() => void)[] = [];
  private readonly asked = new Set<string>();

  constructor(private readonly ask: Ask) {
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) void this.refresh();
    });
  }

  listen(listener: () => void): void {
    this.listeners.push(listener);
  }

  /** Follow another path; the same one asks nothing. */
  follow(path: string): void {
    if (path === this.path && this.answer !== null) return;
    this.path = path;
    void this.refresh();
  }

  /** Read the workspace on the user's word. */
  async insist(): Promise<void> {
    this.asked.add(this.path);
    await this.refresh();
  }

  /** Ask now; an answer that a later question overtook is dropped. */
  async refresh(): Promise<void> {
    window.clearTimeout(this.timer);
    const turn = ++this.turn;
    const answer = await this.ask(this.path, this.asked.has(this.path)).catch(
      (error: unknown): StatusAnswer => ({ problem: error instanceof Error ? error.message : String(error) }),
    );
    if (turn !== this.turn) return;
    this.take(answer);
    this.timer = window.setTimeout(() => {
      // A page that nobody looks at asks nothing; it asks at once when it is looked at again.
      if (!document.hidden) void this.refresh();
    }, pause(this.seen(), answer.state !== undefined));
  }

  get badge(): { count: string; caption: string } {
    return badge(this.answer);
  }

  private take(answer: StatusAnswer): void {
    const said = `${this.path}\n${JSON.stringify(answer)}\n${Math.floor(Date.now() / 60_000)}`;
    if (said === this.said) return;
    this.said = said;
    this.answer = answer;
    for (const listener of this.listeners) listener();
  }
}
