import type { BigIntStats } from "node:fs";
import type { Range } from "../bytes/range.ts";
import { fileIn, fileSystemIn, linkIn, permissionsIn, placeOf } from "./read.ts";
import type { Whose } from "./whose.ts";

/*
 * What of a process leads to files: /proc/PID/exe, cwd, root, fd/N and map_files/START-END (proc(5)).
 */

/** Something in the directory of a process that leads to a file. */
export type Link = "exe" | "cwd" | "root" | `fd/${number}` | `map_files/${string}`;

/** Where it leads, ` (deleted)` at its end where that name is gone, or a name such as `pipe:[4711]`. */
export const readLink = (whose: Whose, link: Link): string => linkIn(whose, link);

/** The file itself, whatever has become of its name. */
export const statLink = (whose: Whose, link: Link): BigIntStats => fileIn(whose, link);

/** Which file system it is of, by its magic number (include/uapi/linux/magic.h). */
export const fileSystemOf = (whose: Whose, link: Link): bigint => fileSystemIn(whose, link);

/** Whether the file was opened to be written to, of a descriptor or a mapping. */
export const isLinkWritable = (whose: Whose, link: Link): boolean => (permissionsIn(whose, link) & 0o200) !== 0;

/**
 * A mapping's file. Following it takes CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE, reading its name the right to trace.
 */
export const mapLink = ({ start, end }: Range): Link => `map_files/${start.toString(16)}-${end.toString(16)}`;

/** Where to open the file that a link leads to, whatever has become of its name. */
export const pathOfLink = (whose: Whose, link: Link): string => placeOf(whose, link);

/** Where to open the memory of a process, by address. */
export const pathOfMemory = (whose: Whose): string => placeOf(whose, "mem");

/** Where to open what the kernel tells of its pages (Documentation/admin-guide/mm/pagemap.rst). */
export const pathOfPagemap = (whose: Whose): string => placeOf(whose, "pagemap");
