// A form over a body of the API: its fields go by their paths in the body, such as
// ssh.port, and are texts, ticks or secrets while they are written.

/** null: a secret that is kept. */
export type Draft = Record<string, string | boolean | null>;

/** What an empty field is in the body; by default an empty text. */
export interface Kind {
  number?: boolean;
  empty?: null | 0;
}

/** Reads the fields of an answer. */
export function draftOf(row: unknown, fields: Record<string, Kind>): Draft {
  const draft: Draft = {};
  for (const path of Object.keys(fields)) {
    let value = row;
    for (const part of path.split(".")) value = (value as Record<string, unknown> | undefined)?.[part];
    draft[path] = typeof value === "boolean" ? value : value === null || value === undefined ? "" : String(value);
  }
  return draft;
}

/** The body of a change: what differs from what was read. A text is sent without spaces around it, unless it is a secret. */
export function changesOf(draft: Draft, was: Draft, fields: Record<string, Kind>, secrets: string[] = []): Record<string, unknown> {
  const body: Record<string, unknown> = {};
  const put = (path: string, value: unknown) => {
    const parts = path.split("."), last = parts.pop()!;
    let into = body;
    for (const part of parts) into = (into[part] ??= {}) as Record<string, unknown>;
    into[last] = value;
  };
  for (const [path, kind] of Object.entries(fields)) {
    const value = typeof draft[path] === "string" ? draft[path].trim() : draft[path];
    if (value === was[path]) continue;
    if (value === "" && "empty" in kind) put(path, kind.empty);
    else put(path, kind.number ? Number(value) : value);
  }
  for (const path of secrets) if (draft[path]) put(path, draft[path]);
  return body;
}
