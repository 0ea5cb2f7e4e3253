import type { ImageDir } from "../criu/image-dir.ts";
import { type FdinfoEntry, FdTypes } from "../criu/wire/generated/schema.ts";

/** The fdinfo image of a process. */
export const tableOf = (donor: ImageDir, pid: number): string =>
	`fdinfo-${donor.one(`ids-${pid}.img`, "ids").files_id}.img`;

export const descriptorsIn = (donor: ImageDir, table: string): FdinfoEntry[] =>
	donor.has(table) ? donor.image(table, "fdinfo").records.map(({ value }) => value) : [];

/** None of a zombie. */
export const descriptorsOf = (donor: ImageDir, pid: number): readonly FdinfoEntry[] =>
	donor.has(`ids-${pid}.img`) ? descriptorsIn(donor, tableOf(donor, pid)) : [];

/** File entries of the memfds that a process has open. */
export const memfdsOpenIn = (donor: ImageDir, pid: number): readonly number[] =>
	descriptorsOf(donor, pid).flatMap(({ type, id }) => (type === FdTypes.MEMFD ? [id] : []));
