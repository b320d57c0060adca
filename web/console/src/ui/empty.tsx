import type { ComponentChildren } from "preact";
import type { Answer } from "../lib/api";
import type { Problem as Cause } from "../lib/api";
import { session } from "../lib/api";
import { root } from "../lib/route";

/** What is shown where there is nothing to show: why, and what to do. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty" role="status">
      <strong>{title}</strong>
      {children && <div>{children}</div>}
    </div>
  );
}

/** What to do about a problem, where the API does not say it. */
function advice(cause: Cause): ComponentChildren {
  switch (cause.status) {
    case 0:
      return "It is asked again every few seconds.";
    case 403:
      return `You are logged in as ${session.value?.username ?? "somebody"} with the role ${session.value?.role ?? "viewer"}.`;
    case 404:
      return <a href={root}>All servers</a>;
    case 502:
      return "It is asked again every few seconds. The history still answers.";
    case 500:
      return "This is a fault of pgam. It is asked again every few seconds.";
    case 503:
    case 504:
      return "It is asked again every few seconds.";
  }
  return null;
}

/** Why there is no answer, in a sentence, and what to do. */
export function Problem({ cause, again }: { cause: Cause; again?: () => void }) {
  return (
    <div class="problem" role="alert">
      <p>
        {cause.detail}
        {/[.!?]$/.test(cause.detail) ? "" : "."} {advice(cause)}
      </p>
      {cause.fields.length > 0 && <ul>{cause.fields.map((f) => <li key={f}>{f}</li>)}</ul>}
      {again && <button onClick={again}>Ask again</button>}
    </div>
  );
}

/** Shows an answer, or why there is none, or that it is on its way. */
export function Asked<T>({ answer, children, lines = 3 }: { answer: Answer<T>; children: (data: T) => ComponentChildren; lines?: number }) {
  return (
    <div class={answer.stale ? "stale" : ""} aria-busy={answer.loading}>
      {answer.problem && <Problem cause={answer.problem} again={answer.again} />}
      {answer.data !== undefined
        ? children(answer.data)
        : !answer.problem && <div class="waiting" role="status" aria-label="loading">{Array.from({ length: lines }, (_, i) => <i key={i} />)}</div>}
    </div>
  );
}
