// Who waits for whom, as trees.
import type { BlockingRow, LockRow, PartyRow, RootRow, SessionThen } from "../schema";
import type { Node } from "../ui/tree";

export interface Waiter {
  pid: number | null;
  prepared: string | null;
  root: RootRow | null; // null: it waits for another
  session: SessionThen | null; // null: not among those that are shown
  lock: LockRow | null; // what it waits for; of a root, what most wait for
  behind: number;
}

const key = (p: { pid: number | null; prepared_transaction: string | null } | null) => (p === null || p.pid === null ? "?" : p.pid === 0 ? "x" + p.prepared_transaction : "p" + p.pid);

/** The trees of an instant: what holds others up, and below it who waits. A ring is cut where it closes. */
export function treesOf(blocking: BlockingRow, sessions: SessionThen[]): Node<Waiter>[] {
  const byPid = new Map(sessions.map((s) => [s.pid, s]));
  const behind = new Map<string, { party: PartyRow; lock: LockRow | null }[]>();
  for (const e of blocking.edges) {
    const list = behind.get(key(e.blocker)) ?? [];
    list.push({ party: e.blocked, lock: e.lock });
    behind.set(key(e.blocker), list);
  }
  const below = (of: string, path: string[]): Node<Waiter>[] =>
    (behind.get(of) ?? [])
      .filter((w) => !path.includes(key(w.party)))
      .map((w): Node<Waiter> => {
        const id = key(w.party), children = below(id, [...path, id]);
        return {
          id: [...path, id].join("/"),
          children,
          data: { pid: w.party.pid, prepared: w.party.prepared_transaction, root: null, session: byPid.get(w.party.pid) ?? null, lock: w.lock, behind: count(children) },
        };
      })
      .sort((a, b) => b.data.behind - a.data.behind || (a.data.pid ?? 0) - (b.data.pid ?? 0));
  return blocking.roots.map((r, n): Node<Waiter> => {
    const ring = r.ring.map(key), id = ring[0] ?? key(r);
    return {
      id: `${n}:${id}`,
      children: below(id, [`${n}`, id]),
      data: { pid: r.pid, prepared: r.prepared_transaction, root: r, session: (r.pid && byPid.get(r.pid)) || null, lock: r.lock, behind: r.sessions_behind },
    };
  });
}

function count(nodes: Node<Waiter>[]): number {
  return nodes.reduce((n, node) => n + 1 + count(node.children), 0);
}

/** A lock in a few words. */
export function lockText(lock: LockRow | null): string {
  if (!lock) return "–";
  return `${lock.type}${lock.relation ? " " + lock.relation : ""} ${lock.mode.replace(/Lock$/, "")}`;
}

/** What a blocker does, in words. */
export function kindText(kind: RootRow["kind"]): string {
  const texts: Record<string, string> = {
    active: "active", idle_in_transaction: "idle in transaction", idle: "idle, with a lock of its session", not_tracked: "not tracked",
    prepared_transaction: "prepared transaction", not_seen: "not seen",
  };
  return texts[kind] ?? kind;
}
