import { resolve } from "node:path";
import { openImageDir } from "../../criu/image-dir.ts";
import { refuseUnfinished } from "../../criu/store/unfinished.ts";
import { type Finding, lostAtDump } from "../../finding.ts";
import { reportPointersOf } from "../../forest/pointers.ts";
import { rootOf } from "../../forest/whole.ts";
import { withImageClocks } from "../../restore/image-clocks.ts";
import type { ImageLosable } from "../../restore/image-losable.ts";
import { withoutUnrestorable } from "../../restore/image-losses.ts";
import { requireMemory } from "../../restore/requirements.ts";
import { type Restored, restore } from "../../restore/restore.ts";
import type { GivenClock } from "../../understand/dead-clocks.ts";
import { believedImages } from "../believed-images.ts";
import { findingsText, leftoverText } from "../findings.ts";
import { follow } from "../follow.ts";
import { logged } from "../log-file.ts";
import { ourTerminal } from "../our-terminal.ts";
import { killUnlessTold, writePidfile } from "../pidfile.ts";
import { openTerminal, type Terminal } from "../terminal.ts";

export interface RestoreVerb {
	readonly images: string;
	readonly pid?: number;
	readonly detach?: boolean;
	readonly leaveStopped?: boolean;
	/** `false` for --no-ptrace. */
	readonly ptrace?: boolean;
	readonly pidNamespace?: boolean;
	readonly freshIds?: boolean;
	/** It joins our session and has our terminal. */
	readonly shellJob?: boolean;
	/** Believe the images, whoever wrote them. */
	readonly trust?: boolean;
	readonly fd?: ReadonlyMap<number, string>;
	readonly missingFds?: "error" | "null";
	/** `false` for --no-file-locks. */
	readonly fileLocks?: boolean;
	/** What may be dropped (--allow-lost). */
	readonly allowLost?: ReadonlySet<ImageLosable>;
	/** Nanoseconds. */
	readonly clock?: GivenClock;
	readonly pidfile?: string;
	/** A file for what would go to stderr. */
	readonly logFile?: string;
	/** 0: errors only; 1 and more: notes too. The usual when absent: that it lives, and what is not as it was. */
	readonly verbosity?: number;
}

/** The environment variable that makes one step of a restore fail, by its number in `necromancer plan`. */
const FAIL_STEP = "NECROMANCER_FAIL_STEP";

/**
 * `necromancer restore -i DIR`: makes the process that images describe. Without -d it is our child, and its exit status
 * becomes ours.
 *
 * @returns our exit status.
 */
export const restoreVerb = (verb: RestoreVerb): Promise<number> =>
	verb.logFile === undefined
		? restoreAs(verb, openTerminal(process))
		: logged(verb.logFile, (terminal) => restoreAs(verb, terminal));

async function restoreAs(verb: RestoreVerb, terminal: Terminal): Promise<number> {
	refuseUnfinished(verb.images);
	// the carrier opens page files by name and may have another working directory by then
	const dir = openImageDir(resolve(verb.images));
	let restored: Restored;
	let known: number;
	const said: Finding[] = [];
	try {
		const failStep = Number(process.env[FAIL_STEP] ?? 0);
		const stopped = verb.leaveStopped === true;
		const { forest: believed, findings } = believedImages(dir, verb.pid, {
			trust: verb.trust === true,
			runs: !stopped,
		});
		requireMemory(believed, dir.path);
		// before it runs
		if (verb.verbosity !== 0) terminal.err(findingsText(findings, false, terminal.errPaint));
		const within = verb.pidNamespace === true ? ["pid" as const] : [];
		const beyond = withoutUnrestorable(dir, believed, new Set([...(verb.allowLost ?? []), ...within]));
		const { forest, findings: clock } = withImageClocks(beyond.forest, dir, verb.clock);
		const { processes } = forest;
		known = rootOf(forest).identity.pid;
		for (const { identity, losses = [] } of processes) {
			const whose = processes.length === 1 ? "the process" : `process ${identity.pid}`;
			said.push(...losses.map(({ subject, text }) => lostAtDump(whose, subject, text)));
		}
		said.push(...beyond.findings, ...clock);
		for (const task of processes) reportPointersOf(task, (finding) => said.push(finding));
		restored = await restore(forest, {
			stopped: verb.leaveStopped === true,
			ids: verb.pidNamespace === true ? "namespace" : verb.freshIds === true ? "fresh" : "same",
			untraced: verb.ptrace === false,
			...(verb.shellJob === true
				? { terminal: ourTerminal("--shell-job"), foreground: verb.detach !== true && !stopped }
				: {}),
			fds: verb.fd ?? new Map(),
			missing: verb.missingFds ?? "error",
			locks: verb.fileLocks !== false,
			requireUnchanged: dir.requireUnchanged,
			trust: verb.trust === true,
			...(failStep > 0 ? { failStep } : {}),
		});
	} finally {
		dir.close();
	}
	await killUnlessTold(restored, async () => {
		if (verb.pidfile !== undefined) writePidfile(verb.pidfile, restored);
		await tell(verb, { ...restored, findings: [...said, ...restored.findings] }, known, terminal);
	});
	if (verb.detach === true || verb.leaveStopped === true) {
		await restored.release();
		return 0;
	}
	return await follow(restored, terminal);
}

async function tell(
	{ verbosity, leaveStopped }: RestoreVerb,
	{ pid, pids, ids, findings, leftover }: Restored,
	known: number,
	{ deliver, errPaint }: Terminal,
): Promise<void> {
	if (verbosity === 0) return;
	const lost = leftover === undefined ? "" : leftoverText(leftover, errPaint);
	const other = { same: "", namespace: `, which is ${known} in its pid namespace`, fresh: `, which was ${known}` };
	const more = pids.length === 1 ? "" : ` and ${pids.length - 1} below it`;
	const still = `, stopped: kill -CONT ${pids.join(" ")} lets ${pids.length === 1 ? "it" : "them"} go on`;
	await deliver(
		"err",
		`${findingsText(findings, (verbosity ?? 0) > 0, errPaint)}${lost}${errPaint.green("restored")} process ${pid}${other[ids]}${more}${leaveStopped === true ? still : ""}\n`,
	);
}
