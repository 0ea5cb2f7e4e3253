import { i32, viewOf } from "../bytes/layout.ts";
import { indexOfSlave, placeOfDevice, slavePath } from "../descriptors/terminal.ts";
import { refuse } from "../errors.ts";
import { performAsUser } from "../inputs/as-user.ts";
import type { OpenFiles } from "../inputs/open-files.ts";
import { ENOENT, errnoName, failedWith } from "../linux/errno.ts";
import { O } from "../linux/open.ts";
import { majorOf, minorOf } from "../linux/stat.ts";
import { TIOC } from "../linux/tty.ts";
import type { NeededFile, OpenedInput } from "../plan/inputs.ts";
import { descriptorsOf, readFdinfo } from "../proc/fdinfo.ts";
import { ifShown } from "../proc/if-shown.ts";
import { statLink } from "../proc/links.ts";
import { readComm } from "../proc/single-values.ts";
import { processes } from "../proc/tasks.ts";

/** Where masters of ptys come from: each gets the lowest index that is free (pts(4)). */
const MASTERS = "/dev/ptmx";

/**
 * Makes ptys of the indices that a process's had, as its user: their masters, open in the agent. Those that come in between are closed
 * again.
 *
 * @param needed its {@link NeededFile}s, those that are no terminals among them.
 * @throws NecromancerError ERR_HOST where an index is somebody else's.
 */
export async function openTerminals(
	{ agent, opener }: OpenFiles,
	needed: readonly NeededFile[],
): Promise<readonly OpenedInput[]> {
	const wanted = needed.filter(({ use }) => use === "terminal");
	const missing = new Map(wanted.map((file) => [indexIn(file.path), file]));
	const opened: OpenedInput[] = [];
	const between: number[] = [];
	const close = async (numbers: readonly number[]): Promise<void> => {
		for (const number of numbers) await agent.call("close", number);
	};
	try {
		while (missing.size > 0) {
			const { added, done } = await performAsUser(agent, opener, (batch) => {
				const flags = O.RDWR | O.NONBLOCK | O.NOCTTY | O.CLOEXEC;
				const index = batch.space(8);
				const fd = batch.call("open", batch.put(Buffer.from(`${MASTERS}\0`), 1), flags);
				batch.call("ioctl", { valueOf: fd }, TIOC.GPTN, index);
				return { fd, index };
			});
			const number = Number(done.result(added.fd));
			if (number < 0) refuseMaster(done.result(added.fd));
			const index = i32.read(viewOf(done.bytes(added.index)), 0);
			const file = missing.get(index);
			if (file === undefined) between.push(number);
			else opened.push({ ...file, number, lent: false });
			missing.delete(index);
			const [lowest] = [...missing.keys()].sort((a, b) => a - b);
			if (lowest !== undefined && index > lowest) refuseTaken(lowest);
		}
		return opened;
	} catch (cause) {
		await close(opened.map(({ number }) => number));
		throw cause;
	} finally {
		await close(between);
	}
}

const indexIn = (path: string): number => Number(path.slice(slavePath(0).length - 1));

const refuseMaster = (result: bigint): never =>
	refuse("ERR_HOST", {
		subject: MASTERS,
		finding: `cannot be opened: ${errnoName(Number(result))}`,
		expectation: "expected one more pty",
		remedy: failedWith(result, ENOENT)
			? "mount devpts at /dev/pts, and link /dev/ptmx to pts/ptmx"
			: "raise kernel.pty.max, or the mount's max=",
	});

function refuseTaken(index: number): never {
	const holder = holderOf(index);
	return refuse("ERR_HOST", {
		subject: slavePath(index),
		finding:
			holder === undefined
				? "is taken by somebody who cannot be seen from here"
				: `is a terminal of "${readComm(holder)}" (process ${holder})`,
		expectation: "expected it to be free: programs know their terminals by name",
		remedy: holder === undefined ? "restore as root, or on another devpts" : "end that, or restore on another devpts",
	});
}

/** Somebody who has an end of a pty. */
function holderOf(index: number): number | undefined {
	const masters: number[] = [];
	for (const pid of processes())
		for (const fd of ifShown(() => descriptorsOf(pid)) ?? []) {
			const device = ifShown(() => statLink(pid, `fd/${fd}`).rdev) ?? 0n;
			const place = placeOfDevice(majorOf(device), minorOf(device));
			if (place === "slave" && indexOfSlave(device) === index) return pid;
			if (place === "master" && ifShown(() => readFdinfo(pid, fd).field("tty-index")) === `${index}`) masters.push(pid);
		}
	return masters[0];
}
