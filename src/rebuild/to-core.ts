import { readAt } from "../bytes/extent.ts";
import type { ByteSource } from "../bytes/source.ts";
import { bytesFromText } from "../bytes/text.ts";
import type { NewCore } from "../core/new-core.ts";
import type { Finding } from "../finding.ts";
import type { Task } from "../forest/task.ts";
import type { ElfPrpsinfo } from "../linux/elf-core.ts";
import { memoryForCore } from "./memory.ts";
import { threadForCore } from "./thread.ts";

export interface ToCoreOptions {
	/**
	 * The bytes of a mapped file by its path, for pages that the process had not changed; `undefined` where it is not here
	 * or not the one that was mapped.
	 */
	readonly file: (path: string) => ByteSource | undefined;
	/** What it died of, if it did: the thread that took the signal, and its siginfo. */
	readonly death?: { readonly tid: number; readonly siginfo: Uint8Array };
}

export interface CoreOfTask {
	readonly draft: NewCore;
	readonly findings: readonly Finding[];
}

/**
 * The core that Linux would have written of a process: what a core holds of it, in the kernel's order. Files, handlers,
 * timers, limits have no place in one.
 */
export function coreOfTask(task: Task, options: ToCoreOptions): CoreOfTask {
	const findings: Finding[] = [];
	const dying = options.death?.tid ?? task.identity.pid;
	const threads = [
		...task.threads.filter(({ tid }) => tid === dying),
		...task.threads.filter(({ tid }) => tid !== dying),
	];
	const memory = memoryForCore(task.memory, options.file, (finding) => void findings.push(finding));
	return {
		draft: {
			process: processOf(task),
			threads: threads.map((thread) => threadForCore(thread, task.identity, options.death)),
			auxv: task.memory.auxv,
			...memory,
		},
		findings,
	};
}

/** Bytes that `pr_fname` and `pr_psargs` hold before their NUL. */
const [FNAME, PSARGS] = [15, 79] as const;

function processOf({ identity, threads, memory }: Task): ElfPrpsinfo {
	const [leader] = threads;
	const { argStart, argEnd } = memory.bounds;
	const length = argEnd > argStart ? Math.min(Number(argEnd - argStart), PSARGS) : 0;
	const args = readAt(memory.contents, argStart, length);
	return {
		pr_state: 0,
		pr_sname: "R".charCodeAt(0),
		pr_zomb: 0,
		pr_nice: (leader?.scheduling.nice ?? 0) & 0xff,
		pr_flag: 0n,
		pr_uid: leader?.credentials.uid ?? 0,
		pr_gid: leader?.credentials.gid ?? 0,
		pr_pid: identity.pid,
		pr_ppid: identity.ppid,
		pr_pgrp: identity.pgid,
		pr_sid: identity.sid,
		pr_fname: Buffer.from(bytesFromText(identity.comm)).toString("latin1", 0, FNAME),
		// as the kernel has it: a blank behind each argument, the last one too
		pr_psargs: (args?.toString("latin1") ?? "").replaceAll("\0", " "),
	};
}
