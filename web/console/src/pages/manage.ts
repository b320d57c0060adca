import type { Page } from "./page";
import { serverEdit, serverNew } from "./server";
import { servers } from "./servers";

/** Pages about pgam itself, in the order in which they are listed. */
export const manage: Page[] = [serverEdit, servers, serverNew];
