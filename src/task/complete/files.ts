import { address } from "../../bytes/address.ts";
import { O, O_ACCMODE } from "../../linux/open.ts";
import { pollfd } from "../../linux/poll.ts";
import { syscallName } from "../../linux/syscalls.ts";
import type { Files } from "../files.ts";
import { pathOf } from "../files.ts";
import { caution, type Finding, loss, note } from "../finding.ts";
import type { PartialMemory, PartialTask, PartialThread } from "../partial-task.ts";
import type { Task } from "../task.ts";

/** The donor's descriptors: a core knows none. Says what they are, and which offsets can only be wrong. */
export function completeFiles(dead: PartialTask, donor: Task, report: (finding: Finding) => void): Files {
	const { descriptors } = donor.files;
	if (descriptors.length > 0)
		report(
			note(
				"files-from-donor",
				`${descriptors.length} descriptor${descriptors.length === 1 ? "" : "s"}`,
				descriptors
					.map(({ number, description }) => `${number}: ${pathOf(description) ?? description.kind}`)
					.join(", "),
			),
		);
	const seen = new Set<number>();
	for (const { number, description } of descriptors) {
		if (seen.has(description.id) || description.kind !== "file") continue;
		seen.add(description.id);
		const { path, flags, position } = description;
		const writable = (flags & O_ACCMODE) !== O.RDONLY;
		if (writable && (flags & O.APPEND) === 0 && position > 0n)
			report(
				caution("file-offset", `descriptor ${number} (${path})`, `writes go on at the donor's offset ${position}`),
			);
	}
	reportMissing(dead, donor, report);
	return donor.files;
}

/** System calls whose first argument is a descriptor and which threads sleep in. */
const WAITS_ON_DESCRIPTOR: readonly string[] = [
	"read",
	"write",
	"pread64",
	"pwrite64",
	"readv",
	"writev",
	"recvfrom",
	"recvmsg",
	"recvmmsg",
	"sendto",
	"sendmsg",
	"accept",
	"accept4",
	"connect",
	"epoll_wait",
	"epoll_pwait",
	"epoll_pwait2",
	"flock",
	"ioctl",
	"fsync",
	"fdatasync",
];

/** A thread that died waiting on a descriptor will fail at once where the donor has none of that number. */
function reportMissing(dead: PartialTask, donor: Task, report: (finding: Finding) => void): void {
	const open = new Set(donor.files.descriptors.map(({ number }) => number));
	const missing = new Map<number, string[]>();
	for (const thread of dead.threads)
		for (const { call, descriptor } of waitsOn(thread, dead.memory)) {
			if (open.has(descriptor)) continue;
			missing.set(descriptor, [...(missing.get(descriptor) ?? []), `thread ${thread.tid} in ${call}`]);
		}
	for (const [descriptor, waiting] of missing)
		report(
			loss(
				"files-from-donor",
				`descriptor ${descriptor}`,
				`${waiting.join(", ")} waits on it, and the donor has none of that number`,
			),
		);
}

const MOST_POLLED = 256;

/** The descriptors that a thread was waiting on when it died; poll(2) names them in the dead process's own memory. */
function waitsOn(
	{ registers }: PartialThread,
	memory: PartialMemory,
): { readonly call: string; readonly descriptor: number }[] {
	const call = syscallName(registers.orig_ax) ?? "";
	if (WAITS_ON_DESCRIPTOR.includes(call)) return [{ call, descriptor: Number(BigInt.asIntN(32, registers.di)) }];
	if ((call !== "poll" && call !== "ppoll") || registers.si > MOST_POLLED) return [];
	const polled = memory.read(address(registers.di), Number(registers.si) * pollfd.size);
	if (polled === undefined) return [];
	return Array.from({ length: Number(registers.si) }, (_, i) => pollfd.decode(polled.subarray(i * pollfd.size)).fd)
		.filter((descriptor) => descriptor >= 0)
		.map((descriptor) => ({ call, descriptor }));
}
