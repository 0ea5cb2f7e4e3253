/** Whose directory below /proc: a process's, one of its threads', or our own. */
export type Whose = number | "self" | { readonly pid: number; readonly tid: number };
