import { hex } from "../../bytes/address.ts";
import type { Timespec } from "../../criu/wire/generated/schema.ts";
import { pathOf, positionOf } from "../../descriptors/kinds.ts";
import type { Descriptor } from "../../forest/files.ts";
import type {
	AlternateStack,
	Bounds,
	Credentials,
	IntervalTimer,
	Limit,
	PosixTimer,
	SignalAction,
	Thread,
} from "../../forest/task.ts";
import { signalName } from "../../linux/signal.ts";
import { SCHEMA } from "../json-text.ts";
import { actionFlags, dispositionOf } from "./handlers.ts";
import type { ImagesView, ProcessView } from "./images-view.ts";
import {
	auxvJson,
	countJson,
	fileJson,
	hexOrNull,
	mappingJson,
	octal,
	signalsJson,
	threadJson,
	totalsJson,
} from "./json.ts";
import { each } from "./json-stream.ts";
import { isUnlimited, limitName } from "./limits.ts";
import { clockName } from "./timers.ts";

/** An image directory for programs; see json.ts for how values are spelled. Times are seconds with nine or six decimals, as strings. */
export function imagesJson({
	name,
	inventory,
	fileCount,
	bytes,
	parent,
	tree,
	processes,
	shared,
	clock,
	others,
	findings,
}: ImagesView) {
	return {
		schema: SCHEMA,
		kind: "images",
		name,
		imageVersion: inventory.img_version,
		files: fileCount,
		bytes: countJson(bytes),
		parent: parent ?? null,
		clock: clock === undefined ? null : { monotonic: clockJson(clock.monotonic), boottime: clockJson(clock.boottime) },
		tree: each(tree, (entry) => entry),
		shared: shared === undefined ? null : each(shared, (thing) => thing),
		processes: each(processes, processJson),
		otherImages: each(others, ({ name: file, kind, size }) => ({ name: file, kind: kind ?? null, size })),
		findings: each(findings, (finding) => finding),
	};
}

function processJson({ pid, state, task, threadViews, mappings, files, ownNamespaces, arguments: argv }: ProcessView) {
	const { memory, identity } = task;
	const { cwd, root, umask, descriptors } = task.files;
	const details = new Map(task.threads.map((thread) => [thread.tid, thread]));
	return {
		pid,
		ppid: identity.ppid,
		pgid: identity.pgid,
		sid: identity.sid,
		comm: identity.comm,
		state,
		executable: memory.executable,
		arguments: argv,
		cwd: cwd ?? null,
		root: root ?? null,
		umask: umask === undefined ? null : octal(umask),
		ownNamespaces: ownNamespaces ?? null,
		threads: each(threadViews, (thread) => ({
			...threadJson(thread, mappings),
			...attributesJson(details.get(thread.tid)),
		})),
		mappings: each(mappings, mappingJson),
		totals: totalsJson(mappings),
		sharedObjects: each(memory.objects, ({ id, name, size, contents }) => ({
			id,
			name: name ?? null,
			size: countJson(size),
			held: countJson(contents.reduce((sum, { length }) => sum + length, 0n)),
		})),
		bounds: boundsJson(memory.bounds),
		files: each(files, fileJson),
		auxv: each(memory.auxv, auxvJson),
		dumpable: memory.dumpable,
		descriptors: each(descriptors, descriptorJson),
		signalActions: each(task.signalActions, actionJson),
		pendingSignals: each(task.pending, (raw) => Buffer.from(raw).toString("hex")),
		intervalTimers: {
			real: intervalJson(task.intervalTimers.real),
			virtual: intervalJson(task.intervalTimers.virtual),
			profiling: intervalJson(task.intervalTimers.profiling),
		},
		posixTimers: each(task.posixTimers, posixJson),
		limits: Object.fromEntries(task.limits.map((limit, number) => [limitName(number), limitJson(limit)])),
	};
}

function descriptorJson({ number, description, closeOnExec }: Descriptor) {
	const { id, kind, flags } = description;
	const position = positionOf(description);
	return {
		number,
		kind,
		path: pathOf(description) ?? null,
		flags: hex(flags),
		closeOnExec,
		position: position === undefined ? null : countJson(position),
		description: id,
	};
}

/** What images know of a thread and cores do not. */
const attributesJson = (thread: Thread | undefined) =>
	thread === undefined
		? {}
		: {
				alternateStack: thread.alternateStack === undefined ? null : stackJson(thread.alternateStack),
				clearTid: hexOrNull(thread.clearTid),
				robustList: hexOrNull(thread.robustList),
				rseq:
					thread.rseq === undefined
						? null
						: { area: hex(thread.rseq.area), size: thread.rseq.size, signature: hex(thread.rseq.signature) },
				scheduling: thread.scheduling,
				parentDeathSignal: thread.parentDeathSignal === 0 ? null : signalName(thread.parentDeathSignal),
				credentials: credentialsJson(thread.credentials),
				seccomp: thread.seccomp,
			};

const stackJson = ({ base, size, flags }: AlternateStack) => ({
	base: hex(base),
	size: countJson(size),
	flags: hex(flags >>> 0),
});

const credentialsJson = ({ inheritable, permitted, effective, bounding, ambient, ...ids }: Credentials) => ({
	...ids,
	inheritable: hex(inheritable),
	permitted: hex(permitted),
	effective: hex(effective),
	bounding: hex(bounding),
	ambient: hex(ambient),
});

const boundsJson = (bounds: Bounds): Record<string, string> =>
	Object.fromEntries(Object.entries(bounds).map(([name, at]: [string, bigint]) => [name, hex(at)]));

const actionJson = (action: SignalAction) => {
	const disposition = dispositionOf(action);
	return {
		signal: signalName(action.signal),
		disposition,
		handler: disposition === "handler" ? hex(action.handler) : null,
		restorer: action.restorer === 0n ? null : hex(action.restorer),
		flags: actionFlags(action.flags),
		mask: signalsJson(action.mask),
	};
};

const intervalJson = ({ remaining, interval }: IntervalTimer) => ({
	remaining: decimal(remaining, 6),
	interval: decimal(interval, 6),
});

const posixJson = ({ id, clock, signal, notify, value, thread, remaining, interval, overrun }: PosixTimer) => ({
	id,
	clock: clockName(clock),
	signal: signalName(signal),
	notify,
	value: hex(value),
	thread: thread ?? null,
	remaining: decimal(remaining, 9),
	interval: decimal(interval, 9),
	overrun,
});

const limitJson = ({ soft, hard }: Limit) => ({ soft: limitValue(soft), hard: limitValue(hard) });

const limitValue = (value: bigint): number | string => (isUnlimited(value) ? "unlimited" : countJson(value));

const clockJson = ({ tv_sec, tv_nsec }: Timespec): string => decimal(tv_sec * 1_000_000_000n + tv_nsec, 9);

/** Seconds, from a count of the unit that has so many digits behind the point. */
const decimal = (value: bigint, digits: number): string => {
	const one = 10n ** BigInt(digits);
	const size = value < 0n ? -value : value;
	return `${value < 0n ? "-" : ""}${size / one}.${(size % one).toString().padStart(digits, "0")}`;
};
