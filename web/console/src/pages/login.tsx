import { useState } from "preact/hooks";
import { logIn, Problem as Cause } from "../lib/api";
import { age } from "../lib/time";

/** Asks who it is. The page that was wanted comes after it: its address has not changed. */
export function Login() {
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement, data = new FormData(form);
    setBusy(true);
    setProblem(null);
    try {
      await logIn(String(data.get("username")), String(data.get("password")));
    } catch (cause) {
      setBusy(false);
      const field = form.elements.namedItem("password") as HTMLInputElement;
      field.value = "";
      field.focus();
      if (!(cause instanceof Cause)) throw cause;
      setProblem(
        cause.status === 401
          ? "No user has this name and this password."
          : cause.status === 429
            ? `Too many attempts: try again in ${age(cause.retryAfter ?? 60)}.`
            : cause.detail,
      );
    }
  };
  return (
    <main class="login">
      <form onSubmit={submit}>
        <h1>pgam</h1>
        <p>PostgreSQL Activity Monitor</p>
        <label>
          User
          <input name="username" autocomplete="username" autocapitalize="none" spellcheck={false} required autofocus />
        </label>
        <label>
          Password
          <input name="password" type="password" autocomplete="current-password" required />
        </label>
        {problem && <p class="problem" role="alert">{problem}</p>}
        <button class="primary" disabled={busy}>{busy ? "Logging in …" : "Log in"}</button>
        <p class="hint">
          Users are made where pgam runs: <code>pgam user create NAME --role viewer</code>
        </p>
      </form>
    </main>
  );
}
