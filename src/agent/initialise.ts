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
 * The first calls of an agent: it blocks all signals (only the end of its socket is to end it), maps anonymous memory over the
 * whole hole, and unmaps its executable. While one mapping of that file remains, the kernel refuses its children another
 * /proc/PID/exe (PR_SET_MM_MAP returns EBUSY). So the page that it runs on is replaced, by mremap(2), with an anonymous one of
 * the same bytes.
 *
 * folklore: containers' default seccomp filters answer clone3 with ENOSYS (Docker since 20.10.10), so that libc falls back to
 * clone, whose flags a filter can read; older ones with EPERM. Called with no arguments, the kernel itself returns EINVAL.
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
	const copy = batch.put(blobPage(blob), page);
	batch.space(0, page);
	const all = batch.put(Buffer.alloc(Number(SIGSET_BYTES), 0xff));
	const name = batch.put(Buffer.from("agent\0"));
	const rwx = PROT_READ | PROT_WRITE | PROT_EXEC;
	const fresh = MAP.PRIVATE | MAP.ANONYMOUS | MAP.FIXED_NOREPLACE | MAP.NORESERVE;
	const calls = [
		// that of its file is a number
		{ name: "prctl", at: here, result: batch.call("prctl", PR.SET_NAME, name) },
		{ name: "rt_sigprocmask", at: here, result: batch.call("rt_sigprocmask", SIG_SETMASK, all, 0, SIGSET_BYTES) },
		{ name: "mremap", at: here, result: batch.call("mremap", copy, page, page, MREMAP_MAYMOVE | MREMAP_FIXED, here) },
		{ name: "mmap", at: copy.at, result: batch.call("mmap", copy, page, rwx, fresh, -1, 0) },
		// an fd that whoever started us left open would be inherited by every process that the agent makes
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
