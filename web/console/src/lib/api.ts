// What is asked of the API, and by whom.
import { signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Gets } from "./../schema";

/** Who has logged in. */
export interface Session {
  username: string;
  role: "viewer" | "operator" | "admin";
  csrf_token: string;
  expires_at: string;
}

/** Seconds until what failed is asked again, where the API does not say. */
const retry = 5;

/** null: nobody has logged in; undefined: not known yet. */
export const session = signal<Session | null | undefined>(undefined);

/** An answer that is none, in words. */
export class Problem extends Error {
  constructor(
    readonly status: number, // 0: no answer at all
    readonly detail: string,
    readonly fields: string[] = [],
    readonly retryAfter: number | null = null,
  ) {
    super(detail);
  }
}

export type Query = Record<string, string | number | boolean | string[] | null | undefined>;

/** The address of a question. */
export function addressOf(path: string, params: Record<string, string> = {}, asked: Query = {}): string {
  const filled = path.replace(/\{([a-z_]+)\}/g, (_, name: string) => encodeURIComponent(params[name] ?? ""));
  const list = new URLSearchParams();
  for (const [name, value] of Object.entries(asked)) {
    if (value === null || value === undefined) continue;
    for (const one of Array.isArray(value) ? value : [value]) list.append(name, String(one));
  }
  const text = list.toString();
  return filled + (text ? "?" + text : "");
}

/** Sends a request and gives the answer's body; throws a Problem. */
export async function send<T>(method: string, address: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (method !== "GET" && session.value) headers["X-CSRF-Token"] = session.value.csrf_token;
  let response: Response;
  try {
    response = await fetch(address, { method, headers, signal, credentials: "same-origin", body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw new Problem(0, "The API does not answer: it is being restarted, or the network is away.");
  }
  const text = await response.text();
  if (response.ok) return (text ? JSON.parse(text) : undefined) as T;
  let said: { detail?: unknown; errors?: { message: string; location?: string }[] } = {};
  try {
    said = JSON.parse(text);
  } catch {
    // a proxy between us and the API answers otherwise
  }
  const detail = typeof said.detail === "string" ? said.detail : `${response.status} ${response.statusText || "without a reason"}`;
  const fields = (said.errors ?? []).map((e) => (e.location ? `${e.location.replace(/^query\./, "")}: ` : "") + e.message);
  const problem = new Problem(response.status, detail, fields, Number(response.headers.get("Retry-After")) || null);
  if (problem.status === 401 && !(method === "POST" && address === "/api/v1/session")) session.value = null;
  throw problem;
}

/** Why it is not known who has logged in. */
export const unknown = signal<Problem | null>(null);

export async function findSession(): Promise<void> {
  try {
    session.value = await send<Session>("GET", "/api/v1/session");
  } catch (cause) {
    if (!(cause instanceof Problem)) throw cause;
    unknown.value = cause.status === 401 ? null : cause;
    if (unknown.value) setTimeout(() => void findSession(), 1000 * (cause.retryAfter ?? retry));
  }
}

export async function logIn(username: string, password: string): Promise<void> {
  const begun = await send<Session>("POST", "/api/v1/session", { username, password });
  kept.clear(); // it is what somebody else may have been allowed to see
  session.value = begun;
}

/** Throws a Problem where the session may still be in force. */
export async function logOut(): Promise<void> {
  try {
    await send("DELETE", "/api/v1/session");
  } catch (cause) {
    if (!(cause instanceof Problem) || cause.status !== 401) throw cause; // 401: it is over already
  }
  kept.clear();
  session.value = null;
}

// Answers that were had, so that going back shows something at once.
const kept = new Map<string, unknown>();
const mostKept = 60;

function keep(address: string, data: unknown): void {
  kept.delete(address);
  kept.set(address, data);
  for (const oldest of kept.keys()) {
    if (kept.size <= mostKept) break;
    kept.delete(oldest);
  }
}

export interface Answer<T> {
  /** The newest answer that was had, also while another is asked for. */
  data?: T;
  /** Why there is none to this question. */
  problem?: Problem;
  /** data is not the answer to this question, yet. */
  stale: boolean;
  loading: boolean;
  /** The address that was asked, for copying. */
  address: string | null;
  again: () => void;
}

/** Addresses of the questions of the page as it is, for "copy as curl". */
export const asked = new Set<string>();

/**
 * Asks a question, and again when it changes; what was had is shown meanwhile. A path of null asks nothing.
 * every: seconds until it is asked again though it has not changed.
 */
export function useAnswer<P extends keyof Gets>(
  path: P | null,
  params: Record<string, string> = {},
  query: Query = {},
  every?: number,
): Answer<Gets[P]["answer"]> {
  type T = Gets[P]["answer"];
  const address = path === null ? null : addressOf(path, params, query);
  // Another server, or another question: what was had does not belong to it.
  const family = path === null ? null : addressOf(path, params);
  const [round, setRound] = useState(0);
  const [state, setState] = useState<{ family: string | null; of: string | null; data?: T; problem?: Problem }>({ family: null, of: null });
  const who = session.value?.username ?? null;
  const latest = useRef(state);
  latest.current = state;

  useEffect(() => {
    if (address === null || who === null) return;
    const stop = new AbortController();
    let timer = 0;
    asked.add(address);
    const found = kept.get(address) as T | undefined;
    if (found !== undefined) setState({ family, of: address, data: found });
    const later = (seconds: number) => (timer = window.setTimeout(() => setRound((n) => n + 1), seconds * 1000));
    send<T>("GET", address, undefined, stop.signal).then(
      (data) => {
        keep(address, data);
        setState({ family, of: address, data });
        if (every) later(every);
      },
      (problem: unknown) => {
        if (stop.signal.aborted || !(problem instanceof Problem)) return;
        const had = latest.current;
        setState({ family, of: address, problem, data: had.family === family ? had.data : undefined });
        if (problem.status === 0 || problem.status >= 500) later(problem.retryAfter ?? retry);
      },
    );
    return () => {
      stop.abort();
      clearTimeout(timer);
      asked.delete(address);
    };
  }, [address, who, round, every]);

  const mine = state.family === family && family !== null;
  return {
    data: mine ? state.data : undefined,
    problem: mine && state.of === address ? state.problem : undefined,
    stale: mine && state.of !== address,
    loading: address !== null && (!mine || state.of !== address),
    address,
    again: () => setRound((n) => n + 1),
  };
}

/** A question as a command of a shell. */
export function asCurl(address: string): string {
  const quoted = new URL(address, location.href).href.replaceAll("'", "'\\''");
  return `curl -sS -H "Authorization: Bearer $token" '${quoted}'`;
}
