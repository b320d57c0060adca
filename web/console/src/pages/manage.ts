import { audit } from "./audit";
import { keys } from "./keys";
import { monitor } from "./monitor";
import type { Page } from "./page";
import { serverEdit, serverNew } from "./server";
import { servers } from "./servers";
import { settings } from "./settings";
import { password, users } from "./users";

/** Pages about pgam itself, in the order in which they are listed. */
export const manage: Page[] = [serverEdit, servers, serverNew, keys, settings, monitor, users, audit, password];
