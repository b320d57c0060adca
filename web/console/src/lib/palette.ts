// Colours, in the order in which they are stacked from the bottom. The values are
// variables of app.css, so that light, dark and print have their own.
import { signal } from "@preact/signals";

export const waitClasses = [
  "cpu", "io", "buffer", "lwlock", "ipc", "client", "timeout", "extension", "other", "idle_in_transaction", "lock",
] as const;
export type WaitClass = (typeof waitClasses)[number];

export const classNames: Record<WaitClass, string> = {
  cpu: "CPU", io: "IO", buffer: "Buffer", lwlock: "LWLock", ipc: "IPC", client: "Client", timeout: "Timeout",
  extension: "Extension", other: "Other", idle_in_transaction: "Idle in transaction", lock: "Lock",
};

/** What each class means, in a sentence. */
export const classMeaning: Record<WaitClass, string> = {
  cpu: "running, or waiting for a processor: PostgreSQL reported no wait",
  io: "reading or writing files",
  buffer: "access to a page in shared buffers that another session holds",
  lwlock: "a short lock on PostgreSQL's own memory",
  ipc: "another process, such as a parallel worker or a standby",
  client: "the client, while a statement runs",
  timeout: "a time to pass, such as pg_sleep",
  extension: "something inside of an extension",
  other: "background work and what has no class",
  idle_in_transaction: "the client, with a transaction open: it holds locks and rows",
  lock: "a lock that another session holds",
};

export const classColour = (c: string) => `--c-${c.replaceAll("_", "-")}`;

/** The colour of the nth series of a dimension without colours of its own. */
export const seriesColour = (n: number) => `--s-${n % 10}`;
export const otherColour = "--s-other";

/** Changes with the theme; read it to be drawn anew. */
export const theme = signal(0);
globalThis.matchMedia?.("(prefers-color-scheme: dark)").addEventListener("change", () => theme.value++);

/** The value of a variable of the style sheet, for a canvas. */
export const valueOf = (variable: string) => getComputedStyle(document.documentElement).getPropertyValue(variable).trim();
