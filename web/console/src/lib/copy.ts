import { signal } from "@preact/signals";

/** What was done last, told for a moment. */
export const told = signal("");
let timer = 0;

export function tell(text: string): void {
  told.value = text;
  clearTimeout(timer);
  timer = window.setTimeout(() => (told.value = ""), 4000);
}

/** Puts a text into the clipboard, also where the page came by plain HTTP. */
export async function copy(text: string, what: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "off";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) return tell(`The browser does not let the page copy: ${text}`);
  }
  tell(`Copied ${what}`);
}

/** Gives a file to be kept. */
export function save(name: string, media: string, content: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type: media }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** CSV of RFC 4180; what a spreadsheet would take for a formula is text. */
export function csv(rows: (string | number | null)[][]): string {
  const cell = (v: string | number | null) => {
    if (v === null) return "";
    if (typeof v === "number") return String(v);
    const text = /^[=+\-@\t\r]/.test(v) ? "'" + v : v;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

/** A text for Markdown that stays a text: nothing in it is markup, and it has one line. */
export function escaped(text: string): string {
  return text.replace(/\s+/g, " ").trim().replace(/[\\`*_~<>[\]|#&]/g, (c) => (c === "<" ? "&lt;" : c === "&" ? "&amp;" : "\\" + c));
}
