import { session, type Session } from "./api";

type Role = Session["role"];
const rank: Record<Role, number> = { viewer: 1, operator: 2, admin: 3 };

/** Whether who has logged in may do what least may; the API has the last word. */
export function allows(least: Role): boolean {
  return session.value ? rank[session.value.role] >= rank[least] : false;
}
