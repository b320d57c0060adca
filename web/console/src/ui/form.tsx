// Parts of forms: an input has its name, what it means and what is wrong with it
// beside it, where a screen reader finds them too.
import type { ComponentChildren } from "preact";
import { useId, useState } from "preact/hooks";
import { Problem } from "../lib/api";
import { copy } from "../lib/copy";

/** What the API says of each field, by its path in the body, and of none. */
export interface Faults {
  at: Record<string, string>;
  rest: string;
}

export const noFaults: Faults = { at: {}, rest: "" };

/**
 * Tells which field a refusal is about: as the API names it, or by the words that its text begins with. A field
 * that is not shown is said by name.
 */
export function faultsOf(cause: unknown, shown: string[], words: [RegExp, string][] = []): Faults {
  if (!(cause instanceof Problem)) throw cause;
  const faults: Faults = { at: {}, rest: "" };
  const lines = cause.fields.length > 0 ? cause.fields : cause.status >= 400 && cause.status < 500 ? cause.detail.split("; ") : [cause.detail];
  for (const line of lines) {
    const named = /^body\.([\w.]+): (.*)$/s.exec(line);
    const field = named?.[1] ?? words.find(([begin]) => begin.test(line))?.[1];
    if (field && shown.includes(field)) faults.at[field] = [faults.at[field], named?.[2] ?? line].filter(Boolean).join("; ");
    else faults.rest = [faults.rest, line].filter(Boolean).join("; ");
  }
  return faults;
}

/** Sends what a form has, one at a time, and keeps what was refused. */
export function useSending(shown: string[], words: [RegExp, string][] = []) {
  const [busy, setBusy] = useState(false);
  const [faults, setFaults] = useState(noFaults);
  const run = async (work: () => Promise<void>) => {
    setBusy(true);
    setFaults(noFaults);
    try {
      await work();
    } catch (cause) {
      setFaults(faultsOf(cause, shown, words));
      // The first thing to mend may be out of sight.
      setTimeout(() => document.querySelector<HTMLElement>("[aria-invalid=true], .refused")?.scrollIntoView({ block: "center" }));
    } finally {
      setBusy(false);
    }
  };
  return { busy, faults, run };
}

interface FieldProps {
  label: string;
  hint?: ComponentChildren;
  fault?: string;
}

function Field({ label, hint, fault, id, children }: FieldProps & { id: string; children: ComponentChildren }) {
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children}
      {hint && <p class="says" id={id + "-hint"}>{hint}</p>}
      {fault && <p class="says bad" id={id + "-fault"} role="alert">{fault}</p>}
    </div>
  );
}

const described = (id: string, { hint, fault }: FieldProps) => ({
  id,
  "aria-invalid": fault ? (true as const) : undefined,
  "aria-describedby": [hint && id + "-hint", fault && id + "-fault"].filter(Boolean).join(" ") || undefined,
});

interface TextProps extends FieldProps {
  name: string;
  value: string;
  set: (value: string) => void;
  type?: "text" | "number" | "password";
  lines?: number;
  min?: number;
  max?: number;
  required?: boolean;
  placeholder?: string;
  autocomplete?: "off" | "new-password" | "current-password";
}

export function Text({ label, hint, fault, name, value, set, type = "text", lines, autocomplete = "off", ...rest }: TextProps) {
  const id = useId();
  const common = { ...described(id, { label, hint, fault }), ...rest, name, value, spellcheck: false, autocapitalize: "none" as const };
  return (
    <Field label={label} hint={hint} fault={fault} id={id}>
      {lines ? (
        <textarea {...common} rows={lines} onInput={(e) => set(e.currentTarget.value)} />
      ) : (
        <input {...common} type={type as "text"} autocomplete={autocomplete} onInput={(e) => set(e.currentTarget.value)} />
      )}
    </Field>
  );
}

interface ChoiceProps extends FieldProps {
  name: string;
  value: string;
  set: (value: string) => void;
  /** Value and what it is called. */
  of: [string, string][];
  disabled?: boolean;
}

export function Choice({ label, hint, fault, name, value, set, of, disabled }: ChoiceProps) {
  const id = useId();
  return (
    <Field label={label} hint={hint} fault={fault} id={id}>
      <select {...described(id, { label, hint, fault })} name={name} value={value} disabled={disabled} onChange={(e) => set(e.currentTarget.value)}>
        {of.map(([v, text]) => <option key={v} value={v}>{text}</option>)}
      </select>
    </Field>
  );
}

export function Tick({ label, hint, fault, name, value, set }: FieldProps & { name: string; value: boolean; set: (value: boolean) => void }) {
  const id = useId();
  return (
    <div class="field tick">
      <label>
        <input {...described(id, { label, hint, fault })} type="checkbox" name={name} checked={value} onChange={(e) => set(e.currentTarget.checked)} /> {label}
      </label>
      {hint && <p class="says" id={id + "-hint"}>{hint}</p>}
      {fault && <p class="says bad" id={id + "-fault"} role="alert">{fault}</p>}
    </div>
  );
}

interface SecretProps extends FieldProps {
  name: string;
  /** null: the stored one is kept. */
  value: string | null;
  set: (value: string | null) => void;
  /** One is stored. */
  has: boolean;
  /** The stored one does not count any more, and why. */
  must?: string;
}

/** A secret can be written, and never be read. */
export function Secret({ label, hint, fault, name, value, set, has, must }: SecretProps) {
  const id = useId();
  if (has && value === null && !must && !fault) {
    return (
      <Field label={label} hint={hint} id={id}>
        <span class="kept"><span class="muted">kept, never shown</span> <button type="button" id={id} onClick={() => set("")}>Replace</button></span>
      </Field>
    );
  }
  return (
    <Field label={label} hint={must ?? hint} fault={fault} id={id}>
      <span class="kept">
        <input
          {...described(id, { label, hint: must ?? hint, fault })} name={name} type="password" autocomplete="new-password" value={value ?? ""}
          onInput={(e) => set(e.currentTarget.value)}
        />
        {has && !must && <button type="button" onClick={() => set(null)}>Keep the old one</button>}
      </span>
    </Field>
  );
}

/** A text to be pasted elsewhere. */
export function Paste({ text, what }: { text: string; what: string }) {
  return (
    <div class="paste">
      <pre>{text}</pre>
      <button type="button" onClick={() => void copy(text, what)} aria-label={`copy ${what}`}>Copy</button>
    </div>
  );
}

/** What was refused and belongs to no field. */
export function Refused({ faults }: { faults: Faults }) {
  const marked = Object.keys(faults.at).length;
  if (!faults.rest && marked === 0) return null;
  return (
    <div class="problem refused" role="alert">
      <p>{faults.rest || "Nothing was changed: see what is said at the marked fields."}{faults.rest && !/[.!?]$/.test(faults.rest) ? "." : ""}</p>
    </div>
  );
}

/** What cannot be taken back: its name has to be typed first. */
export function Doom({ title, name, does, busy, run, children }: {
  title: string; name: string; does: string; busy: boolean; run: () => void; children?: ComponentChildren;
}) {
  const [typed, setTyped] = useState("");
  return (
    <details class="doom">
      <summary>{title}</summary>
      <form onSubmit={(e) => { e.preventDefault(); if (typed === name) run(); }}>
        {children}
        <Text label={`Type ${name} to confirm`} name="confirm" value={typed} set={setTyped} />
        <button class="danger" disabled={busy || typed !== name}>{does}</button>
      </form>
    </details>
  );
}
