// Keys. A page says what its keys do while it is shown; the help lists them.
import { useEffect } from "preact/hooks";
import { signal } from "@preact/signals";

export interface Key {
  /** As typed: "f", "?", "ArrowLeft", "shift+ArrowLeft", or after g: "g l". */
  key: string;
  does: string;
  run: (event: KeyboardEvent) => void;
  /** Not listed: one of several that are listed together. */
  hidden?: boolean;
}

const shown = signal<Key[][]>([]);

/** All keys that do something now, those of the page first. */
export const keysNow = () => shown.value.toReversed().flat();

export function useKeys(keys: Key[], dependencies: unknown[] = []): void {
  useEffect(() => {
    shown.value = [...shown.peek(), keys];
    return () => {
      shown.value = shown.peek().filter((one) => one !== keys);
    };
  }, dependencies);
}

const typing = (target: EventTarget | null) =>
  target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

let prefix = "";
let forget = 0;

export function listenToKeys(): void {
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    const bare = event.shiftKey && event.key.length > 1 ? "shift+" + event.key : event.key;
    const found = keysNow().find((k) => k.key === prefix + bare);
    clearTimeout(forget);
    if (bare === "g" && !prefix) {
      prefix = "g ";
      forget = window.setTimeout(() => (prefix = ""), 1500);
      return;
    }
    prefix = "";
    if (!found) return;
    event.preventDefault();
    found.run(event);
  });
}
