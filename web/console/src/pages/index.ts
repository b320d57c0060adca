import { database, databases, fleetDatabases } from "./databases";
import { disks } from "./disks";
import { fleet } from "./fleet";
import { incident } from "./incident";
import { instant } from "./instant";
import { live } from "./live";
import { load } from "./load";
import { locks } from "./locks";
import { manage } from "./manage";
import type { Page } from "./page";
import { queryPage } from "./query";
import { session } from "./session";

/** In the order in which a server's are listed. */
export const pages: Page[] = [fleet, load, live, instant, locks, incident, databases, database, disks, fleetDatabases, queryPage, session, ...manage];

/** The page of a path below /ui/, and what is in it. */
export function pageOf(path: string): { page: Page; params: Record<string, string> } | null {
  const asked = path.split("/");
  for (const page of pages) {
    const parts = page.path.split("/");
    if (parts.length !== asked.length) continue;
    const params: Record<string, string> = {};
    const fits = parts.every((part, i) => {
      const name = /^\{(.*)\}$/.exec(part)?.[1];
      if (!name) return part === asked[i];
      try {
        params[name] = decodeURIComponent(asked[i]!);
      } catch {
        return false; // a lone %
      }
      return params[name] !== "";
    });
    if (fits) return { page, params };
  }
  return null;
}
