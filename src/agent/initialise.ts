import { hex, PAGE_SIZE } from "../bytes/address.ts";
import { lengthOf } from "../bytes/range.ts";
import { refuse } from "../errors.ts";
import { errnoName } from "../linux/errno.ts";
import { MAP, PROT_EXEC, PROT_READ, PROT_WRITE } from "../linux/mman.ts";
import { PR } from "../linux/prctl.ts";
import { SIG_SETMASK, SIGSET_BYTES } from "../linux/signal.ts";
import { FIRST_INPUT_FD } from "../program/abi.ts";
import type { Agent } from "./agent.ts";
import type { Blob } from "./blob.ts";
import { blobPage } from "./layout.ts";

/**
 * What an agent does first: it blocks all signals, as only its socket's end is to end it, makes all of the hole memory, and leaves its file. As long as one mapping
 * is of that file, the kernel does not let its tasks become another program by name (PR_SET_MM_MAP says EBUSY to the new
 * /proc/PID/exe). So the page it runs on is replaced under its feet, by one with the same bytes.
 *
 * folklore: containers' usual seccomp filters answer clone3 with ENOSYS, so that libc takes clone, whose flags they can judge;
 * older ones with EPERM. Asked with nothing, the kernel itself says EINVAL.
 *
 * @param inputs How many files it was given.
 * @returns what it found out on the way.
 * @throws NecromancerError ERR_HOST where something lies in the hole, by chance or by a small vm.overcommit.
 */
export async function initialise(agent: Agent, blob: Blob, inputs = 0): Promise<Pick<Agent, "clone3">> {
	const page = Number(PAGE_SIZE);
	const { blob: here, free } = agent.layout;
	const batch = agent.batch();
	// A page of its own: it moves away, with nothing else on it.
	const twin = batch.put(blobPage(blob), page);
	batch.space(0, page);
	const all = batch.put(Buffer.alloc(Number(SIGSET_BYTES), 0xff));
	const name = batch.put(Buffer.from("agent\0"));
	const rwx = PROT_READ | PROT_WRITE | PROT_EXEC;
	const fresh = MAP.PRIVATE | MAP.ANONYMOUS | MAP.FIXED_NOREPLACE | MAP.NORESERVE;
	const calls = [
		// that of its file is a number
		{ name: "prctl", at: here, result: batch.call("prctl", PR.SET_NAME, name) },
		{ name: "rt_sigprocmask", at: here, result: batch.call("rt_sigprocmask", SIG_SETMASK, all, 0, SIGSET_BYTES) },
		{ name: "mremap", at: here, result: batch.call("mremap", twin, page, page, MREMAP_MAYMOVE | MREMAP_FIXED, here) },
		{ name: "mmap", at: twin.at, result: batch.call("mmap", twin, page, rwx, fresh, -1, 0) },
		// folklore: a descriptor that our own starter forgot comes down to us, and from us to every task.
		{ name: "close_range", at: here, result: batch.call("close_range", FIRST_INPUT_FD + inputs, 0xffff_ffff, 0) },
		{ name: "mmap", at: free.start, result: batch.call("mmap", free.start, lengthOf(free), rwx, fresh, -1, 0) },
	];
	const asked = batch.call("clone3", 0, 0);
	const done = await agent.perform(batch, { patience: 20_000, doing: "starting" });
	for (const { name, at, result } of calls) {
		const value = done.result(result);
		if (value >= 0n) continue;
		refuse("ERR_HOST", {
			subject: "agent",
			finding: `${name} at ${hex(at)} failed with ${errnoName(Number(value))}`,
			expectation: `expected the addresses up to ${hex(free.end)} to be free`,
		});
	}
	return { clone3: errnoName(Number(done.result(asked))) === "EINVAL" };
}

const [MREMAP_MAYMOVE, MREMAP_FIXED] = [1, 2] as const;
