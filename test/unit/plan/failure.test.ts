import { describe, expect, it } from "vitest";
import { stepFailure } from "../../../src/plan/failure.ts";
import type { Stage } from "../../../src/plan/plan.ts";
import type { Arg } from "../../../src/program/args.ts";
import { assemble } from "../../../src/program/assemble.ts";
import type { CallName } from "../../../src/program/calls.ts";
import type { Expect } from "../../../src/program/program.ts";
import { planOf } from "../../support/builders/plan-builder.ts";

/** What is said when the second of three steps returns `result`. */
function said(
	stage: Stage,
	call: CallName,
	args: readonly Arg[],
	result: bigint,
	expect: Expect = "success",
	list = "leader",
): string {
	const plan = planOf((draft) => {
		draft.list("leader").add("identity", "setsid", [], "a session");
		// few of them do for what is said
		draft.list(list).add(stage, call, args as never, "the reason", { expect });
		draft.list("last").add("leave", "exit", [0n], "the end");
	});
	const failure = stepFailure(assemble(plan), { id: 2n, result });
	return `${failure.code} ${failure.exitStatus} ${failure.message}`;
}

const error = (errno: number): bigint => BigInt(-errno);
const [EPERM, ENOENT, EAGAIN, ENOMEM, EACCES, EEXIST, EINVAL, ENOSPC, ENOSYS] = [1, 2, 11, 12, 13, 17, 22, 28, 38];

describe("a failed step", () => {
	it("says which, the call, the error and what to do", () => {
		expect(said("bounds", "prctl", [35n, 14n, 0x1000n, 104n, 0n], error(EPERM))).toBe(
			"ERR_STEP_FAILED 7 step 2 of 3 (bounds: the reason): prctl(PR_SET_MM, PR_SET_MM_MAP, …) returned EPERM; needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN",
		);
	});

	it("takes results with and without sign", () => {
		expect(said("identity", "setsid", [], BigInt.asUintN(64, -1n))).toBe(said("identity", "setsid", [], -1n));
	});

	it("names the thread that failed", () => {
		expect(said("threads", "sigaltstack", [0x1000n, 0n], error(EPERM), "success", "thread 5741")).toBe(
			"ERR_STEP_FAILED 7 step 2 of 3 (threads of thread 5741: the reason): sigaltstack(0x1000, NULL) returned EPERM",
		);
	});

	const cases: [string, string][] = [
		[
			said("threads", "spawn", [0n, 88n, 0n, 0n], error(EEXIST)),
			"spawn(NULL, 88, …) returned EEXIST; the id is taken: end its holder, or restore with --pid-namespace or --fresh-ids",
		],
		[
			said("threads", "spawn", [0n, 88n], error(EPERM)),
			"spawn(NULL, 88) returned EPERM; needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN over the pid namespace, or --pid-namespace, or --fresh-ids",
		],
		[
			said("map", "mmap", [0x5000n, 4096n, 3n, 0x22n], error(ENOMEM)),
			"mmap(0x5000, 4096, …) returned ENOMEM; free memory, allow more of it (vm.overcommit_memory, the cgroup's memory.max) or more mappings (vm.max_map_count)",
		],
		[
			said("map", "mmap", [0x5000n, 4096n, 3n, 0x4_0022n], error(ENOMEM)),
			"mmap(0x5000, 4096, …) returned ENOMEM; reserve huge pages of that size (vm.nr_hugepages)",
		],
		[
			said("map", "mmap", [0x5000n, 4096n, 3n, 0x2022n], error(EAGAIN)),
			"mmap(0x5000, 4096, …) returned EAGAIN; raise RLIMIT_MEMLOCK, or grant CAP_IPC_LOCK",
		],
		[
			said("map", "mmap", [0x5000n, 4096n], 0x9000n, { exactly: 0x5000n }),
			"mmap(0x5000, 4096) returned 0x9000, expected 0x5000; something else is mapped there",
		],
		[
			said("vdso", "mmap", [0x5000n, 4096n], 0x5000n, { exactly: BigInt.asUintN(64, -17n) }),
			"mmap(0x5000, 4096) returned 0x5000, expected EEXIST",
		],
		[
			said("map", "madvise", [0x5000n, 4096n, 102n], error(EINVAL)),
			"madvise(0x5000, 4096, …) returned EINVAL; needs Linux 6.13 or newer",
		],
		[
			said("files", "openat", [-100n, 0n, 2n], error(ENOENT)),
			"openat(AT_FDCWD, NULL, …) returned ENOENT; put the file back, or name another with --fd N=PATH",
		],
		[
			said("map", "openat", [-100n, 0n, 2n], error(ENOENT)),
			"openat(AT_FDCWD, NULL, …) returned ENOENT; put the file back as it was",
		],
		[
			said("files", "openat", [-100n, 0n, 2n], error(EACCES)),
			"openat(AT_FDCWD, NULL, …) returned EACCES; run as a user who may open the file",
		],
		[
			said("map", "ftruncate", [3n, 4096n], error(ENOSPC)),
			"ftruncate(3, 4096) returned ENOSPC; free space on the file system (of /dev/shm for shared memory)",
		],
		[
			said("fill", "preadv", [3n, 0x1000n, 2n, 0n], 4096n, { exactly: 8192n }),
			"preadv(3, 0x1000, …) returned 4096, expected 8192; the file is shorter than its page map says: dump or copy it again",
		],
		[
			said("files", "write", [3n, 0x1000n, 9n], 4n, { exactly: 9n }),
			"write(3, 0x1000, …) returned 4, expected 9; free space or room in the pipe (fs.pipe-max-size)",
		],
		[said("files", "dup3", [3n, 9n, 0n], 8n, { exactly: 9n }), "dup3(3, 9, …) returned 8, expected 9"],
		[
			said("credentials", "setresuid", [1n, 1n, 1n], error(EPERM)),
			"setresuid(1, 1, …) returned EPERM; needs CAP_SETUID",
		],
		[
			said("leave", "leave", [0x1000n], error(ENOSYS)),
			"leave(0x1000) returned ENOSYS; this kernel does not have the call, or a seccomp filter hides it",
		],
		[said("identity", "setpgid", [0n, 0n], error(EPERM)), "setpgid(0, 0) returned EPERM"],
	];
	it.each(cases)("%s", (text, wanted) => {
		expect(text.replace(/^.*?the reason\): /, "")).toBe(wanted);
	});

	it("says so when no step has the id", () => {
		const encoded = assemble(planOf(() => {}));
		const failure = stepFailure(encoded, { id: 9n, result: -1n });
		expect(`${failure.code} ${failure.message}`).toBe(
			"ERR_RESTORE_FAILED step 9: returned -1, but the plan has 0 steps",
		);
	});
});
