// Cancelling a statement, ending a session: where the server's setting and the role allow it.
import { addressOf, send, useAnswer } from "../lib/api";
import { tell } from "../lib/copy";
import { allows } from "../lib/role";
import { Doom, Paste, Refused, useSending } from "./form";

interface Props {
  server: string;
  pid: number;
  /** When it connected: with the pid it names the session, so that a pid that is used again is never hit. */
  began: string | null;
  /** It may have gone: look first, and every ten seconds. */
  look?: boolean;
}

export function SessionControl({ server, pid, began, look }: Props) {
  const row = useAnswer(allows("operator") ? "/api/v1/servers/{name}" : null, { name: server });
  const control = row.data?.session_control_in_force ?? "off";
  const now = useAnswer(look && control !== "off" ? "/api/v1/servers/{name}/activity" : null, { name: server }, { all: true }, 10);
  const { busy, faults, run } = useSending([]);
  const same = (start: string | null) => start && began && Date.parse(start) === Date.parse(began);
  // The history may know it to the millisecond only.
  const start = look ? now.data?.sessions.find((s) => s.pid === pid && s.backend_type === "client backend" && same(s.backend_start))?.backend_start : began;
  if (control === "off" || !start) return null;
  const act = (kind: string, done: string) =>
    void run(async () => {
      await send("POST", addressOf(`/api/v1/servers/{name}/sessions/{pid}/${kind}`, { name: server, pid: String(pid) }), { backend_start: start });
      tell(done);
    });
  const grant = /GRANT .*;/.exec(faults.rest)?.[0];
  return (
    <div class="acts">
      <button disabled={busy} onClick={() => act("cancel", `Session ${pid} was told to cancel its statement`)} title="The statement fails, the session goes on">Cancel its statement</button>
      {control === "terminate" && (
        <Doom title="End the session" name={String(pid)} does={`End session ${pid}`} busy={busy} run={() => act("terminate", `Session ${pid} was told to end`)}>
          <p>Its transaction is rolled back, and its client loses the connection. Cancelling the statement is often enough.</p>
        </Doom>
      )}
      <Refused faults={faults} />
      {grant && <Paste text={grant} what="the grant" />}
    </div>
  );
}
