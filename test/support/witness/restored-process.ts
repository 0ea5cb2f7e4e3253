import { closeSync, openSync, readSync } from "node:fs";
import type { Room } from "../lives/room.ts";
import { present } from "../present.ts";
import type { Message, ReadImages } from "./image-reader.ts";
import type { RestoredMemory } from "./witness.ts";

/*
 * A restored process, stopped, against the images it was made from. Nothing here comes from src/: field numbers are
 * CRIU's (criu-4.2, images/core.proto, images/core-x86.proto), memory is read through /proc, registers by gdb.
 */

/** VMA_AREA_VDSO and VMA_AREA_VVAR (criu-4.2, criu/include/image.h). */
const VMA_VDSO = 8;
const VMA_VVAR = 0x1000;

/** Addresses. */
interface Area {
	readonly start: bigint;
	readonly end: bigint;
}

/** The threads' rseq areas: the kernel writes the number of the processor there whenever a thread goes back to user mode. */
export const rseqAreas = (images: ReadImages): Area[] =>
	images.names
		.filter((name) => /^core-\d+\.img$/.test(name))
		.map((name) => present(images.records(name)[0]).message(5))
		.filter((thread) => thread.has(15))
		.map((thread) => thread.message(15))
		.map((rseq) => ({ start: rseq.number(1), end: rseq.number(1) + rseq.number(2) }));

/**
 * [vdso] and its clocks. Another kernel's comes back as memory, its functions redirected, with this kernel's aside: what a test
 * asks of all else must not depend on whose vdso the images have; first-breath.test.ts makes a foreign one, and asks about these.
 */
export const vdsoAreas = (memory: RestoredMemory): Area[] =>
	memory.vmas.filter(({ status }) => (status & (VMA_VDSO | VMA_VVAR)) !== 0);

/** Whether a mapping is none of the vdso's, old or new. */
export const isOutside =
	(areas: readonly Area[]) =>
	({ start, name = "" }: { readonly start: bigint; readonly name?: string }): boolean =>
		!/^\[(?:vdso|vvar|vvar_vclock)\]$/.test(name) && !areas.some((area) => area.start <= start && start < area.end);

/** Each private page that differs from what the images make of it outside `volatile`, and how many were compared. */
export function differentPages(
	memFile: string,
	memory: RestoredMemory,
	volatile: readonly Area[],
): { compared: number; wrong: string[] } {
	const mem = openSync(memFile, "r");
	const wrong: string[] = [];
	let compared = 0;
	const page = Buffer.alloc(4096);
	const same = (at: bigint, shown: Buffer): boolean => {
		if (readSync(mem, page, 0, 4096, at) !== 4096) return false;
		for (const { start, end } of volatile.filter((area) => area.start < at + 4096n && at < area.end)) {
			const [from, to] = [Number(start - at), Number(end - at)].map((offset) => Math.min(4096, Math.max(0, offset)));
			shown.copy(page, from, from, to);
		}
		return page.equals(shown);
	};
	try {
		for (const { start, end } of memory.vmas)
			for (let at = start; at < end; at += 4096n) {
				const shown = memory.page(at);
				if (shown === "not private" || shown === "past the end") continue;
				compared++;
				if (typeof shown === "string") wrong.push(`0x${at.toString(16)}: ${shown}`);
				else if (!same(at, shown)) wrong.push(`0x${at.toString(16)}`);
			}
	} finally {
		closeSync(mem);
	}
	return { compared, wrong };
}

/** user_x86_regs_entry: gdb's names, by field number less one; orig_ax is 16 and means nothing outside a system call. */
const names =
	"r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi - rip cs eflags rsp ss fs_base gs_base ds es fs gs".split(
		" ",
	);

/** The registers of a core-TID.img by gdb's names. */
export function registersOfImage(core: Message): Record<string, bigint> {
	const gpregs = core.message(2).message(2);
	return Object.fromEntries(
		names.flatMap((name, i) => (name === "-" ? [] : [[name, BigInt.asUintN(64, gpregs.number(i + 1))]])),
	);
}

/** The registers of every thread, by its id, as gdb sees them. */
export function registersByGdb(room: Room, pid: number): Map<number, Record<string, bigint>> {
	const quiet = ["-nx", "-batch", "-iex", "set auto-solib-add off", "-iex", "set debuginfod enabled off"];
	const list = names.filter((name) => name !== "-").join(" ");
	const { stdout } = room.run(["gdb", ...quiet, "-p", `${pid}`, "-ex", `thread apply all info registers ${list}`]);
	const found = new Map<number, Record<string, bigint>>();
	for (const part of stdout.split(/^Thread \d+ \(/m).slice(1)) {
		const tid = Number(present(/(?:LWP|process) (\d+)/.exec(part))[1]);
		const lines = part.matchAll(/^([a-z]\w+) +(0x[0-9a-f]+)/gm);
		found.set(tid, Object.fromEntries([...lines].map(([, name = "", value = "0"]) => [name, BigInt(value)])));
	}
	return found;
}

export interface Masks {
	readonly SigBlk: bigint;
	readonly SigCgt: bigint;
	readonly SigIgn: bigint;
}

/** Signal masks of every thread as the images have them; the leader's core holds what all share. */
export function masksOfImages(images: ReadImages, pid: number): Map<number, Masks> {
	const threads = new Map(
		images.names.flatMap((name) => {
			const tid = /^core-(\d+)\.img$/.exec(name)?.[1];
			return tid === undefined ? [] : [[Number(tid), present(images.records(name)[0])] as const];
		}),
	);
	const task = present(threads.get(pid)).message(3);
	// actions of all signals but 9 and 19, in order
	const signals = Array.from({ length: 64 }, (_, i) => i + 1).filter((signal) => signal !== 9 && signal !== 19);
	const [caught, ignored] = [(handler: bigint) => handler > 1n, (handler: bigint) => handler === 1n].map((holds) =>
		task
			.messages(15)
			.reduce((set, action, i) => (holds(action.number(1)) ? set | (1n << BigInt((signals[i] ?? 0) - 1)) : set), 0n),
	);
	return new Map(
		[...threads].map(([tid, core]) => [
			tid,
			{
				SigBlk: tid === pid ? task.number(5) : core.message(5).number(6),
				SigCgt: caught ?? 0n,
				SigIgn: ignored ?? 0n,
			},
		]),
	);
}

/** Addresses with the permissions that they have, neighbours of one kind joined. */
export function stretches(
	mappings: readonly { readonly start: bigint; readonly end: bigint; readonly perms: string }[],
): string[] {
	const out: { start: bigint; end: bigint; perms: string }[] = [];
	for (const { start, end, perms } of mappings) {
		const last = out.at(-1);
		if (last !== undefined && last.end === start && last.perms === perms) last.end = end;
		else out.push({ start, end, perms });
	}
	return out.map(({ start, end, perms }) => `${start.toString(16)}-${end.toString(16)} ${perms}`);
}
