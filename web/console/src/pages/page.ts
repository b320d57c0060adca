import type { ComponentType } from "preact";
import type { Session } from "../lib/api";

/** A page of the console. Each has a file of its own, and a line in index.ts. */
export interface Page {
  /** Below /ui/, such as s/{name}/at/{at}; parameters come unescaped. */
  path: string;
  title: (params: Record<string, string>) => string;
  /** Its name among the pages of a server; without one it is not listed. */
  tab?: string;
  /** g and this letter go there. */
  key?: string;
  /** It is about the range of the address: the range can be chosen. */
  ranged?: boolean;
  /** Least role of those to whom it is listed under Manage, and shown. */
  manage?: Session["role"];
  view: ComponentType<{ params: Record<string, string> }>;
}
