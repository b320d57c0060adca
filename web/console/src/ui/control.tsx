// Cancelling a statement, ending a session: where the server's setting and the role allow it.
import { useEffect, useRef, useState } from "preact/hooks";
import { addressOf, Problem, send, session } from "../lib/api";
import { tell } from "../lib/copy";

/** What may be done with sessions of a server, by its row; of who may not act, nothing. */
function allowed(row: unknown): { cancel: boolean; terminate: boolean } {
  const inForce = (row as { session_control_in_force?: string } | undefined)?.session_control_in_force;
  const may = session.value?.role === "operator" || session.value?.role === "admin";
  return { cancel: may && (inForce === "cancel" || inForce === "terminate"), terminate: may && inForce === "terminate" };
}

async function act(action: "cancel" | "terminate", server: string, pid: number, start: string): Promise<void> {
  try {
    const answer = await send<{ signalled: boolean }>("POST", addressOf(`/api/v1/servers/{name}/sessions/{pid}/${action}`, { name: server, pid: String(pid) }), { backend_start: start });
    const done = action === "cancel" ? `Asked session ${pid} to cancel its statement` : `Ended session ${pid}`;
    tell(answer.signalled ? done : `PostgreSQL did not signal session ${pid}`);
  } catch (cause) {
    if (!(cause instanceof Problem)) throw cause;
    tell(cause.detail);
  }
}

/** The buttons of a session, bound to its pid and to when it connected: a pid that is used again is never hit. */
export function SessionControl({ server, row, pid, start, who }: { server: string; row: unknown; pid: number; start: string; who: string }) {
  const may = allowed(row);
  const [asking, setAsking] = useState(false);
  if (!may.cancel) return null;
  return (
    <>
      <button onClick={() => void act("cancel", server, pid, start)} title="pg_cancel_backend: the statement fails, the session goes on">Cancel its statement</button>
      {may.terminate && <button class="danger" onClick={() => setAsking(true)}>End the session …</button>}
      {asking && <Confirm pid={pid} who={who} server={server} close={() => setAsking(false)} run={() => void act("terminate", server, pid, start)} />}
    </>
  );
}

function Confirm({ pid, who, server, close, run }: { pid: number; who: string; server: string; close: () => void; run: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [typed, setTyped] = useState("");
  useEffect(() => dialog.current?.showModal(), []);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (typed.trim() !== String(pid)) return;
    run();
    dialog.current?.close();
  };
  return (
    <dialog ref={dialog} class="help confirm" onClose={close} aria-label="end a session">
      <h2>End session {pid} on {server}</h2>
      <p>{who || "It has no user and no application."} Its transaction is rolled back, and its client loses the connection. Cancelling the statement is often enough.</p>
      <form onSubmit={submit}>
        <label>Type {pid} to end it <input value={typed} onInput={(e) => setTyped(e.currentTarget.value)} inputMode="numeric" autocomplete="off" autofocus size={12} /></label>
        <span class="tools">
          <button class="danger" disabled={typed.trim() !== String(pid)}>End session {pid}</button>
          <button type="button" onClick={() => dialog.current?.close()}>Leave it</button>
        </span>
      </form>
    </dialog>
  );
}
