import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { asCurl, asked, logOut, Problem, session } from "../lib/api";
import { copy, tell, told } from "../lib/copy";
import { keysNow, useKeys } from "../lib/keys";
import { brush, frozen, go, here, href, now, paused, range, root, serverPath, spanOf } from "../lib/route";
import { allows } from "../lib/role";
import { shifted, zoomed } from "../lib/stack";
import { clock, date, spanText, switchZone, zone, zoneName } from "../lib/time";
import { pages } from "../pages";
import type { Page } from "../pages/page";
import { Chips } from "./chips";

async function leave(): Promise<void> {
  try {
    await logOut();
  } catch (cause) {
    if (!(cause instanceof Problem)) throw cause;
    tell(`Not logged out: ${cause.detail}`);
  }
}

/** What is around every page: where one is, when, and how to get elsewhere. */
export function Frame({ page, params, children }: { page: Page | null; params: Record<string, string>; children: ComponentChildren }) {
  const [help, setHelp] = useState(false);
  const server = params.name;
  useKeys(
    [
      { key: "?", does: "this help", run: () => setHelp(true) },
      ...pages.flatMap((p) =>
        p.key && (p.path === "" || server !== undefined)
          ? [{ key: "g " + p.key, does: `go to ${p.tab ?? p.title({})}`, run: () => go(pathOf(p, server)) }]
          : [],
      ),
      { key: "y", does: "copy a link to exactly this", run: () => void copy(page?.ranged ? frozen() : location.href, "the link") },
      ...(page?.ranged ? rangeKeys() : []),
    ],
    [page, server],
  );
  return (
    <>
      <header class="top">
        <a class="brand" href={href(root, {}, [])}>pgam</a>
        {server !== undefined && (
          <nav aria-label="pages of the server">
            <span class="server" title={server}>{server}</span>
            {pages.filter((p) => p.tab).map((p) => (
              <a key={p.path} href={pathOf(p, server)} aria-current={p === page ? "page" : undefined}>{p.tab}</a>
            ))}
          </nav>
        )}
        <span class="space" />
        <button class="quiet zone" onClick={switchZone} title={`Times are in ${zoneName()}; switch to ${zone.value === "utc" ? "the browser's zone" : "UTC"}`}>
          {clock(now.value).slice(0, 5)} {zone.value === "utc" ? "UTC" : "local"}
        </button>
        <Manage />
        <More />
        <button class="quiet" onClick={() => setHelp(true)} aria-label="help" title="Keys and help  ?">?</button>
        {session.value && (
          <button class="quiet" onClick={() => void leave()} title={`Log out ${session.value.username}, ${session.value.role}`}>Log out</button>
        )}
      </header>
      {page?.ranged && <Range />}
      {page?.ranged && <Chips />}
      <main>{children}</main>
      <div class="toast" role="status" aria-live="polite">{told.value}</div>
      {help && <Help close={() => setHelp(false)} />}
    </>
  );
}

/** The address of a page of a server; of one that is about an instant, that of the cursor. */
function pathOf(p: Page, server: string | undefined): string {
  if (server === undefined || p.path === "") return href(root, {}, ["last"]);
  return href(serverPath(server, p.path.replace(/^s\/\{name\}\/?/, "").replace("/{at}", "/now")));
}

const lasts = ["15m", "1h", "6h", "1d", "7d", "30d"];

function rangeKeys() {
  const to = (span: { from: number; to: number }) => go(here(spanOf(span.from, span.to)));
  return [
    { key: "[", does: "earlier, by half of the range", run: () => to(shifted(range.peek(), -0.5, Date.now())) },
    { key: "]", does: "later, by half of the range", run: () => to(shifted(range.peek(), 0.5, Date.now())) },
    { key: "+", does: "zoom in", run: () => to(brush.peek() ?? zoomed(range.peek(), 0.5, Date.now())) },
    { key: "-", does: "zoom out", run: () => to(zoomed(range.peek(), 2, Date.now())) },
    { key: "0", does: "the last hour, nothing filtered", run: () => go(here({ from: null, to: null, last: null, f: null })) },
    { key: "l", does: "live: the range ends now and moves on; again: stand still", run: live },
  ];
}

function live(): void {
  const { last, from, to } = range.peek();
  if (last && !paused.peek()) {
    paused.value = true;
    return tell("Paused");
  }
  paused.value = false;
  now.value = Date.now();
  if (!last) {
    const length = to - from;
    go(here({ from: null, to: null, last: lasts.findLast((l) => spanLength(l) <= length) ?? lasts[0]! }));
  }
}

const spanLength = (last: string) => Number(last.slice(0, -1)) * { m: 60e3, h: 3600e3, d: 86400e3 }[last.slice(-1) as "m" | "h" | "d"];

function Range() {
  const { from, to, last } = range.value;
  const moving = last !== null && !paused.value;
  return (
    <div class="range" role="group" aria-label="range of time">
      <span class="segments">
        {lasts.map((l) => (
          <a key={l} href={here({ last: l, from: null, to: null })} aria-current={l === last ? "true" : undefined}>{l}</a>
        ))}
      </span>
      <span class="segments">
        <a href={here(spanOf(...ends(shifted(range.value, -0.5, Date.now()))))} aria-label="earlier" title="Earlier  [">←</a>
        <a href={here(spanOf(...ends(zoomed(range.value, 2, Date.now()))))} aria-label="zoom out" title="Zoom out  -">−</a>
        <a href={here(spanOf(...ends(zoomed(range.value, 0.5, Date.now()))))} aria-label="zoom in" title="Zoom in  +">+</a>
        <a href={here(spanOf(...ends(shifted(range.value, 0.5, Date.now()))))} aria-label="later" title="Later  ]">→</a>
      </span>
      <Exact key={`${last}${last ? "" : from}`} from={from} to={to} />
      <button class={moving ? "live on" : "live"} aria-pressed={moving} onClick={live} title="Live or standing still  l">{moving ? "● live" : last ? "paused" : "go live"}</button>
    </div>
  );
}

const ends = (s: { from: number; to: number }): [number, number] => [s.from, s.to];

/** The range as text, and a form to type another. */
function Exact({ from, to }: { from: number; to: number }) {
  const [problem, setProblem] = useState("");
  const box = useRef<HTMLDetailsElement>(null);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const data = new FormData(event.currentTarget as HTMLFormElement);
    const a = readInstant(String(data.get("from"))), b = readInstant(String(data.get("to")));
    if (a === null || b === null) return setProblem("Write instants as 2026-11-22 03:12 or 03:12.");
    if (a >= b) return setProblem("The range must begin before it ends.");
    if (box.current) box.current.open = false;
    go(here(spanOf(a, b)));
  };
  const typed = (at: number) => `${date(at)} ${clock(at)}`;
  return (
    <details class="exact" ref={box}>
      <summary title="Type a range">{spanText(from, to)}</summary>
      <form onSubmit={submit}>
        <label>from <input name="from" defaultValue={typed(from)} size={19} /></label>
        <label>to <input name="to" defaultValue={typed(to)} size={19} /></label>
        <span class="muted">in {zoneName()}</span>
        {problem && <span class="bad" role="alert">{problem}</span>}
        <button class="primary">Show</button>
      </form>
    </details>
  );
}

/** Reads an instant as it is shown, in the zone that is shown; a time alone is today's. */
export function readInstant(text: string): number | null {
  const match = /^\s*(?:(\d{4}-\d\d-\d\d)(?:[T ]|$))?\s*(?:(\d\d?):(\d\d)(?::(\d\d))?)?(Z)?\s*$/.exec(text);
  if (!match || (!match[1] && !match[2])) return null;
  const day = match[1] ?? date(Date.now()), time = `${(match[2] ?? "0").padStart(2, "0")}:${match[3] ?? "00"}:${match[4] ?? "00"}`;
  const at = Date.parse(`${day}T${time}${zone.value === "utc" || match[5] ? "Z" : ""}`);
  return Number.isNaN(at) ? null : at;
}

/** A list of things to do that closes when one was chosen, or something else is. */
function Menu({ name, title, children }: { name: string; title: string; children: ComponentChildren }) {
  const box = useRef<HTMLDetailsElement>(null);
  const close = () => box.current && (box.current.open = false);
  useEffect(() => {
    const elsewhere = (e: Event) => !box.current?.contains(e.target as Node) && close();
    addEventListener("pointerdown", elsewhere);
    return () => removeEventListener("pointerdown", elsewhere);
  }, []);
  return (
    <details class="menu" ref={box} onKeyDown={(e) => e.key === "Escape" && close()}>
      <summary class="quiet" title={title}>{name}</summary>
      <div onClick={close}>{children}</div>
    </details>
  );
}

/** The pages about pgam itself, as far as one's role goes. */
function Manage() {
  return (
    <Menu name="Manage" title="Servers, settings, users">
      {pages.filter((p) => p.manage && allows(p.manage)).map((p) => <a key={p.path} href={href(root + p.path, {}, [])}>{p.title({})}</a>)}
    </Menu>
  );
}

/** What can be done with the page as it is. */
function More() {
  return (
    <Menu name="Share" title="Copy, print">
      <button onClick={() => void copy(frozen(), "the link")}>Copy link to exactly this <kbd>y</kbd></button>
      <button onClick={() => void copy([...asked].map(asCurl).join("\n"), "the questions of this page")}>Copy as curl</button>
      <button onClick={() => print()}>Print</button>
      <a href="/docs" target="_blank" rel="noreferrer">API</a>
      <a href="/ui/licences.txt" target="_blank" rel="noreferrer">Licences</a>
    </Menu>
  );
}

function Help({ close }: { close: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [keys] = useState(keysNow);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} class="help" onClose={close} aria-label="help" onClick={(e) => e.target === e.currentTarget && dialog.current?.close()}>
      <h2>Keys</h2>
      <dl>
        {keys.filter((k) => !k.hidden).map((k) => (
          <div key={k.key}>
            <dt>{k.key.split(" ").map((one) => <kbd key={one}>{one.replace("shift+", "⇧ ").replace("ArrowLeft", "←").replace("ArrowRight", "→")}</kbd>)}</dt>
            <dd>{k.does}</dd>
          </div>
        ))}
      </dl>
      <h2>What the pictures say</h2>
      <p>
        Average active sessions: 2 is two sessions at any time, or four half of it. <span class="hatched">Hatched</span> is what nobody has looked at: it is never drawn as zero.
        Every state of the page is in its address, and everything shown here is a question of the API: Share, “Copy as curl”.
      </p>
      <form method="dialog"><button class="primary">Close</button></form>
    </dialog>
  );
}
