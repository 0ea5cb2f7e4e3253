import { ifShown } from "./if-shown.ts";
import { isThere, sysctl } from "./read.ts";

/*
 * What /proc/sys says of the kernel (proc_sys(5)).
 */

/** Where a setting is, for whoever opens it himself: some are those of his namespaces. */
export const pathOfSetting = (name: string): string => `/proc/sys/${name}`;

/** Ids of processes are below it. */
export const readPidMax = (): number => Number(sysctl("kernel/pid_max"));

/** The most mappings that a process may have; `undefined` where /proc/sys is not shown. */
export function readMaxMapCount(): number | undefined {
	const most = Number(ifShown(() => sysctl("vm/max_map_count")) ?? "none");
	return Number.isInteger(most) ? most : undefined;
}

/** The value of a switch; `undefined` where /proc/sys has none of that name, or does not show it. */
export const readSwitch = (name: string): string | undefined =>
	isThere(`sys/${name}`) ? ifShown(() => sysctl(name))?.trim() : undefined;

/** A UUID that is another after each boot. */
export const readBootId = (): string => sysctl("kernel/random/boot_id").trim();

/** Whether memfd_create(2) knows MFD_EXEC and MFD_NOEXEC_SEAL (Linux 6.3, CONFIG_SYSCTL). */
export const knowsMemfdNoexec = (): boolean => isThere("sys/vm/memfd_noexec");
