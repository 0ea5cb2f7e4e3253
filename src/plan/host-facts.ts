import type { XstateLayout } from "../arch/x86-64/xstate.ts";
import type { HostClocks } from "../forest/clocks.ts";

/** What a plan has to know of the host that will carry it out. Measured by host/facts.ts, made up in tests. */
export interface HostFacts {
	/** Where this CPU's XSAVE components lie in a signal frame (CPUID leaf 0xd). */
	readonly xstate: XstateLayout;
	/** The components the system has switched on. */
	readonly xcr0: bigint;
	/** The kernel's own vdso image and the length of the vvar area in front of it, bytes. */
	readonly vdso: { readonly image: Uint8Array; readonly vvarLength: bigint };
	/** `/sys/kernel/mm/transparent_hugepage/enabled`; `never` also where they are there and slow. */
	readonly hugePages: "always" | "madvise" | "never";
	/** Processors this process may run on. */
	readonly processors: number;
	/** Processors that are switched on, and nodes with memory, bit n for n; absent where nobody looked. */
	readonly online?: bigint;
	readonly nodes?: bigint;
	/**
	 * Whether keyctl(2) works. Where a filter forbids it, the process is under that filter too, and has no use of anybody's keys.
	 */
	readonly keyrings?: boolean;
	/** Whether memfd_create(2) knows MFD_EXEC and MFD_NOEXEC_SEAL (Linux 6.3). */
	readonly memfdExec?: boolean;
	/** Whether clone3(2) can be had; where a seccomp filter hides it, clone(2) makes what has no id of our choice. As it is, when absent. */
	readonly clone3?: boolean;
	/** RLIMIT_NOFILE, RLIMIT_STACK… of the restorer, by RLIMIT_ number: what a restore may have to raise first. */
	readonly limits: readonly { readonly soft: bigint; readonly hard: bigint }[];
	/** What the restorer can hand on, bit n for capability n; everything where it is not known. */
	readonly capabilities?: { readonly permitted: bigint; readonly bounding: bigint };
	/** Whom the restorer runs as, outside any user namespace of the process; somebody who may become anybody where not known. */
	readonly user?: { readonly uid: number; readonly gid: number; readonly groups: readonly number[] };
	/**
	 * The only ids of the user namespace that was made for the process, which stand for the restorer's own outside; absent
	 * where it has none of its own. `capabilities` count only within it: for limits, priorities and the like there are none.
	 */
	readonly userNamespace?: { readonly uid: number; readonly gid: number };
	/** The restorer's own; where they are not known nothing is done about clocks. */
	readonly clocks?: HostClocks;
	/** Why no time namespace can be made for the process, as an errno's name or in words; absent where one can. */
	readonly noTimeNamespace?: string;
}
