import { describe, expect, test } from "vitest";
import type { BuiltCore } from "../../support/builders/core-builder.ts";
import { deduced, poke, told, withGlibc, withRegisters } from "../../support/builders/deduced-core.ts";
import {
	changeSegment,
	deadCore,
	deadPlaces,
	deadThread,
	filled,
	P,
	stackOf,
	withSegment,
} from "../../support/builders/pair.ts";

const { exe, heap, stackEnd } = deadPlaces;
const [AT_PHDR, AT_PHENT, AT_PHNUM, AT_UID, AT_EUID, AT_GID, AT_EGID] = [3, 4, 5, 11, 12, 13, 14];
const PHDR = exe + 0x800n;
const lone = (core: BuiltCore = deadCore()) => withGlibc(core);

/** Program headers: type, flags, offset, address, bytes in the file, bytes in memory. */
function linked(core: BuiltCore, rows: readonly (readonly bigint[])[]): BuiltCore {
	const table = Buffer.concat(
		rows.map(([type = 0n, flags = 0n, offset = 0n, at = 0n, filesz = 0n, memsz = 0n]) => {
			const raw = Buffer.alloc(56);
			raw.writeUInt32LE(Number(type), 0);
			raw.writeUInt32LE(Number(flags), 4);
			for (const [i, value] of [offset, at, at, filesz, memsz, P].entries()) raw.writeBigUInt64LE(value, 8 + 8 * i);
			return raw;
		}),
	);
	const auxv = (core.auxv ?? []).filter(([type]) => type !== AT_PHDR);
	return {
		...poke(core, PHDR, table),
		auxv: [...auxv, [AT_PHDR, PHDR], [AT_PHENT, 56n], [AT_PHNUM, BigInt(rows.length)]],
	};
}

/** Header, text, and data whose .bss reaches a page further. */
const program = [
	[6n, 4n, 64n, 64n, 0n, 0n],
	[1n, 4n, 0n, 0n, 0x900n, 0x900n],
	[1n, 5n, P, P + 0x40n, 0x1f00n, 0x1f00n],
	[1n, 6n, 3n * P, 3n * P + 0x10n, 0x700n, 0x1100n],
];

describe("bounds", () => {
	test("of code and data are those that the kernel makes of the program headers", () => {
		const { bounds } = deduced(linked(lone(), program)).task.memory;
		expect(bounds).toMatchObject({
			startCode: exe + P + 0x40n,
			endCode: exe + P + 0x40n + 0x1f00n,
			startData: exe + 3n * P + 0x10n,
			endData: exe + 3n * P + 0x710n,
		});
	});

	test("of the heap are its mapping's, above .bss", () => {
		const { bounds } = deduced(linked(lone(), program)).task.memory;
		expect([bounds.startBrk, bounds.brk]).toEqual([heap, heap + 4n * P]);
	});

	test("of a heap that is one mapping with .bss begin behind that", () => {
		const core = linked(lone(), program);
		const bss = exe + 4n * P;
		const merged = changeSegment(
			{ ...core, segments: (core.segments ?? []).filter(({ start }) => start !== heap) },
			bss,
			(it) => ({ ...it, end: bss + 6n * P, bytes: filled(1, 6) }),
		);
		const { bounds } = deduced(merged).task.memory;
		expect([bounds.startBrk, bounds.brk]).toEqual([bss + P, bss + 6n * P]);
	});

	test("of no heap are empty behind .bss", () => {
		const core = linked(lone(), program);
		const found = deduced({ ...core, segments: (core.segments ?? []).filter(({ start }) => start !== heap) });
		const end = exe + 5n * P;
		expect([found.task.memory.bounds.startBrk, found.task.memory.bounds.brk]).toEqual([end, end]);
		expect(told(found, "brk-guessed")).toEqual([
			`note program break 0x${end.toString(16)}: there was no heap; one would begin here`,
		]);
	});

	test("without program headers are the executable's mappings, and that is said", () => {
		const found = deduced(lone());
		expect(found.task.memory.bounds).toMatchObject({ startCode: exe, endCode: exe + 4n * P, startBrk: heap });
		expect(told(found, "default")[0]).toBe(
			"caution code and data: the program headers are neither in the core nor on this host; /proc/PID/stat shows the executable's mappings",
		);
	});

	test("do not believe in a number of program headers that no program has", () => {
		const core = linked(lone(), program);
		const auxv = (core.auxv ?? []).map(([type, value]) => [type, type === AT_PHNUM ? 1n << 40n : value] as const);
		expect(deduced({ ...core, auxv }).task.memory.bounds.startCode).toBe(exe);
	});
});

describe("memory", () => {
	test("has a stack that grows, and threads' stacks as thread libraries map them", () => {
		const { mappings } = deduced(lone(deadCore({ tids: [500, 501] }))).task.memory;
		const [GROWSDOWN, STACK] = [0x100, 0x20000];
		expect(mappings.find(({ end }) => end === stackEnd)?.flags).toBe(GROWSDOWN);
		expect(mappings.find(({ start }) => start === stackOf(deadPlaces, 1).start)?.flags).toBe(STACK);
		expect(mappings.find(({ start }) => start === heap)?.backing).toEqual({ kind: "anonymous", role: "heap" });
	});

	test("of gdb's cores has the guard below a thread's stack, which gdb shows as readable", () => {
		const core = lone(deadCore({ tids: [500, 501] }));
		const guard = stackOf(deadPlaces, 1).start - P;
		const gdb: BuiltCore = changeSegment({ ...core, style: "gdb" }, guard, (it) => ({ ...it, prot: 1 }));
		expect(deduced(gdb).task.memory.mappings.find(({ start }) => start === guard)?.prot).toBe(0);
	});
});

describe("memfds of one name", () => {
	const at = [0x7f10_0018_0000n, 0x7f10_0019_0000n];
	const code = Buffer.concat([filled(0x90), filled(0)]);
	const mapped = (bytes: readonly Buffer[], offsets: readonly bigint[] = [0n, 0n]) =>
		bytes.reduce(
			(core, held, i) =>
				withSegment(
					core,
					{ start: at[i] ?? 0n, end: (at[i] ?? 0n) + 2n * P, prot: i === 0 ? 3 : 5, bytes: held },
					{ path: "/memfd:jit (deleted)", offset: offsets[i] ?? 0n },
				),
			lone(),
		);
	const objectsOf = (core: BuiltCore): number => deduced(core).task.memory.objects.length;

	test("are one object where they show the same bytes, once to write and once to run", () => {
		const found = deduced(mapped([code, code]));
		expect(found.task.memory.objects.length).toBe(1);
		expect(told(found, "mapping-kind")).toEqual([
			"note /memfd:jit: its 2 mappings show the same bytes; they are taken for one object",
		]);
	});

	test("are one where a page of each shows the same", () => {
		expect(
			objectsOf(mapped([Buffer.concat([filled(1), filled(2)]), Buffer.concat([filled(2), filled(3)])], [0n, P])),
		).toBe(1);
	});

	test.each([
		["they show other bytes", [code, Buffer.concat([filled(0x90), filled(1)])], [0n, 0n]],
		["they show only zeros", [filled(0, 2), filled(0, 2)], [0n, 0n]],
		["they show other parts", [code, code], [0n, 8n * P]],
	] as const)("are two where %s", (_, bytes, offsets) => {
		expect(objectsOf(mapped(bytes, offsets))).toBe(2);
	});
});

describe("credentials", () => {
	const owned = (uid: number, gid: number, auxv: readonly (readonly [number, bigint])[] = []) => {
		const core = deadCore({ auxv });
		return deduced(lone({ ...core, process: { ...core.process, pid: 500, name: "prog", uid, gid } }));
	};
	const idsOf = (found: ReturnType<typeof owned>) => {
		const { uid, euid, suid, gid, egid, sgid, permitted, effective } = found.task.threads[0]?.credentials ?? {};
		return { ids: [uid, euid, suid, gid, egid, sgid], privileged: permitted !== 0n, acting: effective !== 0n };
	};

	test("are the core's user and group in every role, without capabilities", () => {
		const found = owned(1000, 100);
		expect(idsOf(found)).toEqual({ ids: [1000, 1000, 1000, 100, 100, 100], privileged: false, acting: false });
		expect(told(found, "credentials")).toEqual([
			"note uid 1000, gid 100: supplementary groups are not in a core: none; no capabilities",
		]);
	});

	test("of root are with every capability", () => {
		expect(idsOf(owned(0, 0))).toEqual({ ids: [0, 0, 0, 0, 0, 0], privileged: true, acting: true });
	});

	test("of a set-id program are effective as it was started", () => {
		const found = owned(1000, 100, [
			...([
				[AT_UID, 1000n],
				[AT_EUID, 0n],
				[AT_GID, 100n],
				[AT_EGID, 100n],
			] as const),
		]);
		expect(idsOf(found)).toEqual({ ids: [1000, 0, 0, 100, 100, 100], privileged: true, acting: true });
		expect(told(found, "credentials")[0]).toBe(
			"caution uid 1000, gid 100: started as a set-id program: effective uid 0, gid 100, as far as a core tells",
		);
	});

	test("of one that changed its user since are that user's", () => {
		const found = owned(33, 33, [
			...([
				[AT_UID, 0n],
				[AT_EUID, 0n],
				[AT_GID, 0n],
				[AT_EGID, 0n],
			] as const),
		]);
		expect(idsOf(found)).toEqual({ ids: [33, 33, 33, 33, 33, 33], privileged: false, acting: false });
	});

	test("may be the user's own, for all threads", () => {
		const [mine] = deduced(lone()).task.threads;
		const credentials = { ...mine?.credentials, uid: 7, noNewPrivileges: true } as never;
		const { threads } = deduced(lone(deadCore({ tids: [500, 501] })), { credentials }).task;
		expect(threads.map((thread) => thread.credentials)).toEqual([credentials, credentials]);
	});
});

describe("what killed it", () => {
	const death = (core: BuiltCore): string[] => told(deduced(lone(core)), "fatal-signal");
	const siginfo = (signal: number, code: number, at = 0n): Buffer => {
		const raw = Buffer.alloc(128);
		raw.writeInt32LE(signal, 0);
		raw.writeInt32LE(code, 8);
		raw.writeBigUInt64LE(at, 16);
		return raw;
	};
	const died = (signal: number, code: number): BuiltCore => ({
		...deadCore(),
		threads: [deadThread(500, deadPlaces, 0, { signal, siginfo: siginfo(signal, code) })],
	});

	test("will again, where an instruction raised it", () => {
		expect(death(died(11, 1))).toEqual([
			"caution thread 500: died of SIGSEGV at 0x0 (address not mapped); when it goes on it executes the same instruction, and dies again unless that is changed",
		]);
	});

	test("will not where it came from outside", () => {
		expect(death(died(6, 0))[0]).toMatch(/^note thread 500: died of SIGABRT .*; it goes on where it was$/);
	});

	test("will again where the thread had raised it by tgkill, as abort does", () => {
		const core = withRegisters(died(6, -6), 500, { 15: 234n });
		expect(death(core)[0]).toMatch(
			/; it had raised that itself, and goes on behind the call: abort\(3\) ends it again, and so may its own handler$/,
		);
	});
});

test("every signal does its default, which is said, with what it means for threads", () => {
	const found = deduced(lone());
	expect(found.task.signalActions.map(({ signal }) => signal)).toEqual(
		Array.from({ length: 64 }, (_, i) => i + 1).filter((signal) => signal !== 9 && signal !== 19),
	);
	expect(new Set(found.task.signalActions.map(({ handler }) => handler))).toEqual(new Set([0n]));
	const text =
		"loss signal handlers: are not in a core, nor are alternate stacks: SIGTERM, SIGPIPE, SIGUSR1… end the process now, though it may have caught or ignored them";
	const remedy = " (a donor, -i, brings them)";
	expect(told(found, "handlers-default")).toEqual([text + remedy]);
	expect(told(deduced(lone(deadCore({ tids: [500, 501] }))), "handlers-default")).toEqual([
		`${text}; so do pthread_cancel(3) and set*id(2), which signal the other threads${remedy}`,
	]);
});

test("a core without masks blocks nothing, and says so", () => {
	const found = deduced(lone({ ...deadCore(), style: "gdb" }));
	expect(found.task.threads[0]?.blocked).toBe(0n);
	expect(told(found, "masks-lost")).toEqual(["caution all threads: gdb's cores hold no signal masks; none is blocked"]);
});

test("pending signals that were blocked are queued again", () => {
	const core = deadCore();
	const [first] = core.threads;
	const found = deduced(lone({ ...core, threads: [{ ...first, tid: 500, blocked: 1n << 9n, pending: 1n << 9n }] }));
	expect(found.task.threads[0]?.pending.length).toBe(1);
	expect(told(found, "pending-lost")).toEqual([
		"caution thread 500: SIGUSR1 pending; queued again, but who sent it is not in a core",
		"caution the whole process: every thread blocks SIGUSR1: whether one waited for the process is not in a core; none does now",
	]);
});

test("a signal may have waited for the whole process where every thread blocks it", () => {
	const core = deadCore({ tids: [500, 501] });
	const blocking = (...masks: readonly bigint[]) =>
		told(
			deduced(lone({ ...core, threads: core.threads.map((thread, i) => ({ ...thread, blocked: masks[i] ?? 0n })) })),
			"pending-lost",
		);
	expect(blocking(1n << 9n, 1n << 11n)).toEqual([]);
	expect(blocking((1n << 9n) | (1n << 8n), (1n << 9n) | (1n << 11n) | (1n << 8n))).toEqual([
		"caution the whole process: every thread blocks SIGUSR1: whether one waited for the process is not in a core; none does now",
	]);
	expect(told(deduced(lone({ ...core, style: "gdb" })), "pending-lost")).toEqual([
		"note the whole process: signals that waited for it, and not for one thread, are not in a core",
	]);
});

test("limits are the restorer's", () => {
	expect(deduced(lone()).task.limits).toEqual([]);
});
