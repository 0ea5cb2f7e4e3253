/** What the kernel adds to the name of a file that has none any more (fs/d_path.c): in /proc, and in NT_FILE. */
export const DELETED = " (deleted)";

/** A path as the kernel prints it, and whether it has lost that name. */
export const withoutDeleted = (name: string): { readonly path: string; readonly deleted: boolean } =>
	name.endsWith(DELETED) ? { path: name.slice(0, -DELETED.length), deleted: true } : { path: name, deleted: false };
