import type { ComponentChildren } from "preact";
import { useMemo, useRef, useState } from "preact/hooks";

export interface Node<T> {
  id: string;
  data: T;
  children: Node<T>[];
}

interface Line<T> {
  node: Node<T>;
  level: number;
  parent: number; // index of its line; -1: a root
}

/**
 * A tree of rows, such as who waits for whom, walked with the arrow keys.
 * columns: what is shown beside the first, which is indented.
 */
export function Tree<T>(props: {
  label: string;
  roots: Node<T>[];
  first: string;
  head: (data: T) => ComponentChildren;
  columns: { id: string; name: string; number?: boolean; wide?: boolean; level?: 2 | 3 | 4; cell: (data: T) => ComponentChildren }[];
  open?: (data: T) => void;
}) {
  const [closed, setClosed] = useState<ReadonlySet<string>>(new Set());
  const [active, setActive] = useState(0);
  const body = useRef<HTMLTableSectionElement>(null);
  const lines = useMemo(() => {
    const list: Line<T>[] = [];
    const walk = (nodes: Node<T>[], level: number, parent: number) =>
      nodes.forEach((node) => {
        const at = list.push({ node, level, parent }) - 1;
        if (!closed.has(node.id)) walk(node.children, level + 1, at);
      });
    walk(props.roots, 1, -1);
    return list;
  }, [props.roots, closed]);
  const fold = (id: string, shut: boolean) => {
    const next = new Set(closed);
    if (shut) next.add(id);
    else next.delete(id);
    setClosed(next);
  };
  const focus = (at: number) => {
    const next = Math.max(0, Math.min(lines.length - 1, at));
    setActive(next);
    (body.current?.children[next] as HTMLElement | undefined)?.focus();
  };
  const keys = (event: KeyboardEvent) => {
    const line = lines[active];
    if (!line || event.ctrlKey || event.metaKey || event.altKey) return;
    const shut = closed.has(line.node.id), leaf = line.node.children.length === 0;
    switch (event.key) {
      case "ArrowDown": case "j": focus(active + 1); break;
      case "ArrowUp": case "k": focus(active - 1); break;
      case "Home": focus(0); break;
      case "End": focus(lines.length - 1); break;
      case "ArrowRight":
        if (shut) fold(line.node.id, false);
        else if (!leaf) focus(active + 1);
        break;
      case "ArrowLeft":
        if (!shut && !leaf) fold(line.node.id, true);
        else if (line.parent >= 0) focus(line.parent);
        break;
      case "Enter": props.open?.(line.node.data); break;
      default: return;
    }
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div class="table">
      <table role="treegrid" aria-label={props.label} class="tree">
        <thead>
          <tr role="row">
            <th scope="col" class="wide">{props.first}</th>
            {props.columns.map((c) => <th key={c.id} scope="col" class={classOf(c)}>{c.name}</th>)}
          </tr>
        </thead>
        <tbody ref={body} onKeyDown={keys}>
          {lines.map(({ node, level }, i) => {
            const leaf = node.children.length === 0, shut = closed.has(node.id);
            return (
              <tr
                key={node.id}
                role="row"
                aria-level={level}
                aria-expanded={leaf ? undefined : !shut}
                tabIndex={i === Math.min(active, lines.length - 1) ? 0 : -1}
                class={`${level === 1 ? "root " : ""}${props.open ? "opens" : ""}`}
                onFocus={() => setActive(i)}
                onClick={(e) => !(e.target as Element).closest("a, button") && props.open?.(node.data)}
              >
                <td role="gridcell" class="wide">
                  <span class="indent" style={{ paddingLeft: `${(Math.min(level, 12) - 1) * 18}px` }}>
                    {leaf ? (
                      <span class="twig" aria-hidden="true">{level > 1 ? "└" : ""}</span>
                    ) : (
                      <button class="twig" tabIndex={-1} aria-label={shut ? "unfold" : "fold"} onClick={() => fold(node.id, !shut)}>{shut ? "▸" : "▾"}</button>
                    )}
                    {props.head(node.data)}
                  </span>
                </td>
                {props.columns.map((c) => <td key={c.id} role="gridcell" class={classOf(c)}>{c.cell(node.data)}</td>)}
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

const classOf = (c: { number?: boolean; wide?: boolean; level?: number }) => `${c.number ? "number " : ""}${c.wide ? "wide " : ""}${c.level ? "level" + c.level : ""}`;
