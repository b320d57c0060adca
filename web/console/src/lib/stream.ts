// Server-sent events, read so that it is always known whether they still come.
import { Problem, session } from "./api";

export interface Connection {
  /** asleep: nobody looks at the page. */
  state: "connecting" | "open" | "lost" | "asleep";
  /** Why it was lost. */
  problem: Problem | null;
  /** When it is tried again, in milliseconds. */
  again: number | null;
}

/** Longest silence of a stream that lives, in milliseconds: it says that it does every 15 s. */
const silence = 35e3;
const firstDelay = 1e3, longestDelay = 30e3;

/** Splits a stream into its events, whatever its pieces; what is no event is left out. */
export function splitter(event: (kind: string, data: string) => void): (piece: string) => void {
  let rest = "";
  return (piece) => {
    const blocks = (rest + piece).split("\n\n");
    rest = blocks.pop()!;
    for (const block of blocks) {
      let kind = "message";
      const data: string[] = [];
      for (const line of block.split("\n")) {
        if (line.startsWith("event:")) kind = line.slice(6).trim();
        else if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
      }
      if (data.length > 0) event(kind, data.join("\n"));
    }
  };
}

/**
 * Follows a stream until the function it gives is called. A stream that ends, fails
 * or falls silent is asked for again, later each time; where the page is not in
 * sight nothing is asked.
 */
export function follow<T>(address: string, heard: (tick: T) => void, tell: (c: Connection) => void): () => void {
  let stop: AbortController | null = null, timer = 0, watch = 0, delay = firstDelay, over = false, broken = false;

  const lost = (problem: Problem) => {
    if (over) return;
    if (problem.status === 401) session.value = null;
    const wait = Math.max((problem.retryAfter ?? 0) * 1000, delay * (0.8 + 0.4 * Math.random()));
    delay = Math.min(longestDelay, delay * 2);
    broken = true;
    const hopeless = [400, 401, 403, 404, 422].includes(problem.status);
    tell({ state: "lost", problem, again: hopeless ? null : Date.now() + wait });
    if (!hopeless) timer = window.setTimeout(() => void open(), wait);
  };
  const open = async () => {
    if (document.hidden) return tell({ state: "asleep", problem: null, again: null });
    const mine = new AbortController();
    stop = mine;
    let why: Problem | null = null;
    const alive = () => {
      clearTimeout(watch);
      watch = window.setTimeout(() => {
        why = new Problem(0, "The stream fell silent: the network is away, or a proxy holds it back");
        mine.abort();
      }, silence);
    };
    if (!broken) tell({ state: "connecting", problem: null, again: null }); // else what is wrong stays shown until it is over
    alive();
    try {
      const response = await fetch(address, { headers: { Accept: "text/event-stream" }, credentials: "same-origin", signal: mine.signal });
      if (!response.ok || !response.body) throw await problemOf(response);
      const split = splitter((kind, data) => {
        if (kind === "tick") {
          delay = firstDelay;
          heard(JSON.parse(data) as T);
        } else if (kind === "end") why = new Problem(503, `The stream was ended: ${(JSON.parse(data) as { reason: string }).reason}`);
      });
      const reader = response.body.getReader(), decoder = new TextDecoder();
      broken = false;
      tell({ state: "open", problem: null, again: null });
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        alive();
        split(decoder.decode(value, { stream: true }));
      }
      throw why ?? new Problem(0, "The stream broke off");
    } catch (cause) {
      if (stop !== mine) return; // it was ended on purpose
      lost(why ?? (cause instanceof Problem ? cause : new Problem(0, "The API does not answer: it is being restarted, or the network is away")));
    } finally {
      if (stop === mine) clearTimeout(watch);
    }
  };
  const close = () => {
    const had = stop;
    stop = null;
    had?.abort();
    clearTimeout(timer);
    clearTimeout(watch);
  };
  const looked = () => {
    close();
    delay = firstDelay;
    void open();
  };
  document.addEventListener("visibilitychange", looked);
  void open();
  return () => {
    over = true;
    document.removeEventListener("visibilitychange", looked);
    close();
  };
}

async function problemOf(response: Response): Promise<Problem> {
  let detail = `${response.status} ${response.statusText}`;
  try {
    const said = JSON.parse(await response.text()) as { detail?: unknown };
    if (typeof said.detail === "string") detail = said.detail;
  } catch {
    // a proxy between us and the API answers otherwise
  }
  return new Problem(response.status, detail, [], Number(response.headers.get("Retry-After")) || null);
}
