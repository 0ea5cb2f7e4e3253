import { statSync } from "node:fs";
import { bytesFromText } from "../bytes/text.ts";
import { refuse } from "../errors.ts";
import { caution, type Finding, loss, note } from "../finding.ts";
import { ifShown } from "../proc/if-shown.ts";
import { readLink, statLink } from "../proc/links.ts";
import { type Namespace, readNamespace } from "../proc/namespaces.ts";
import { readCgroup, readLoginUid, readSecurityLabel } from "../proc/single-values.ts";
import type { Keyrings, Unrestored } from "./attribute-queries.ts";
import { isDeletedDirectory } from "./ghosts.ts";
import { instead, type Losable, losable } from "./losable.ts";
import type { Stopped } from "./threads.ts";

/** Something that a restore will not recreate, and whose it is. */
export interface Lost {
	readonly what: Losable;
	readonly subject: string;
	/** How it shows: `net:[4026532001], and ours is net:[4026531840]`. */
	readonly found?: string;
}

/**
 * Reports as losses what --allow-lost names, and refuses the rest in one error: of several processes what the first has, and by its
 * remedy what all have.
 *
 * @throws NecromancerError ERR_UNSUPPORTED
 */
export function requireAllowed(
	lost: readonly Lost[],
	allowed: ReadonlySet<Losable>,
	report: (finding: Finding) => void,
): void {
	const told = ({ what, found }: Lost): string => `${losable[what]}${found === undefined ? "" : ` (${found})`}`;
	const refused = lost.filter(({ what }) => !allowed.has(what));
	const [first] = refused;
	if (first !== undefined) {
		const names = [...new Set(refused.map(({ what }) => what))];
		const own = refused.filter(({ subject }) => subject === first.subject);
		refuse("ERR_UNSUPPORTED", {
			subject: first.subject,
			finding: `has ${own.map(told).join(", ")}`,
			expectation: "which would not come back",
			remedy: `${hasNamespace(names) ? "run us in its namespaces (nsenter), or " : ""}go on without: --allow-lost ${names.join(",")}`,
		});
	}
	for (const one of lost) report(loss("confinement", one.subject, `had ${told(one)}; ${instead[one.what] ?? USUAL}`));
}

const USUAL = "it has the restorer's, or none, when it comes back";

const hasNamespace = (names: readonly Losable[]): boolean =>
	names.some((name) => ["net", "uts", "ipc", "cgroup"].includes(name));

/** Namespaces that change what a process may reach, and not what paths, ids and times mean. */
const NAMESPACES = ["net", "uts", "ipc", "cgroup"] as const;

/** What of a running process's environment is not the restorer's: namespaces, security label, directories that are not there. @param given what is given up. */
export function lostEnvironment(pid: number, given: ReadonlySet<Losable>): readonly Lost[] {
	const subject = `process ${pid}`;
	const link = (whose: number, name: Namespace): string | undefined => ifShown(() => readNamespace(whose, name));
	const ours = process.pid;
	const foreign = NAMESPACES.flatMap((what): Lost[] => {
		const [theirs, own] = [link(pid, what), link(ours, what)];
		return theirs === undefined || theirs === own ? [] : [{ what, subject, found: `${theirs}, and ours is ${own}` }];
	});
	const children = (["pid", "time"] as const).flatMap((name): Lost[] => {
		const [own, theirs] = [link(pid, name), link(pid, `${name}_for_children`)];
		return theirs === undefined || theirs === own ? [] : [{ what: `${name}-for-children`, subject, found: theirs }];
	});
	return [...foreign, ...children, ...lostLabel(pid, subject), ...lostDirectories(pid, subject, given)];
}

/**
 * Working and root directories whose path leads elsewhere or nowhere, and that nobody deleted either: /proc/PID of an ended process,
 * or one that another file system hides. The deleted ones come back, unless they are given up.
 */
const lostDirectories = (pid: number, subject: string, given: ReadonlySet<Losable>): readonly Lost[] =>
	(["cwd", "root"] as const).flatMap((what): Lost[] => {
		const [path, there] = [ifShown(() => readLink(pid, what)), ifShown(() => statLink(pid, what))];
		if (path === undefined || there === undefined) return [];
		if (isDeletedDirectory(there) && !given.has(what)) return [];
		try {
			const here = statSync(Buffer.from(bytesFromText(path)), { bigint: true, throwIfNoEntry: false });
			return here?.ino === there.ino && here.dev === there.dev ? [] : [{ what, subject, found: path }];
		} catch {
			return [];
		}
	});

function lostLabel(pid: number, subject: string): readonly Lost[] {
	const [theirs, ours] = [readSecurityLabel(pid), readSecurityLabel("self")];
	return theirs === undefined || theirs === ours ? [] : [{ what: "lsm", subject, found: theirs }];
}

/** What of a stopped process's own state cannot be recreated. */
export function lostState(pid: number, threads: readonly Stopped[], { localDescriptors }: Unrestored): readonly Lost[] {
	const subject = `process ${pid}`;
	const [leader] = threads;
	const tagged = leader !== undefined && leader.status.untagMask !== ALL_BITS;
	return [
		...(localDescriptors ? [{ what: "ldt", subject } as const] : []),
		...(tagged ? [{ what: "untag-mask", subject, found: `0x${leader.status.untagMask.toString(16)}` } as const] : []),
		...threads
			.filter(({ records }) => records.dispatched)
			.map(({ tid }) => ({ what: "dispatch", subject: `thread ${tid}` }) as const),
	];
}

const ALL_BITS = (1n << 64n) - 1n;

/** Findings about state that is not recreated (keyrings, cgroup, audit login uid), or that cannot be read (Landlock). */
export function reportUnrestored(
	pid: number,
	{ keyrings, registerFeatures }: Unrestored,
	noNewPrivileges: boolean,
	report: (finding: Finding) => void,
): void {
	const subject = `process ${pid}`;
	for (const text of keyringLosses(keyrings)) report(loss("keyrings", subject, text));
	if (keyrings.session.length === 0 || isUsers(keyrings))
		report(note("keyrings", subject, "comes back with a new session keyring"));
	if (registerFeatures >> DYNAMIC !== 0n)
		report(
			caution(
				"xstate",
				subject,
				`had asked leave to use XSAVE components of mask 0x${registerFeatures.toString(16)}; the leave is gone`,
			),
		);
	reportCgroup(pid, subject, report);
	reportLogin(pid, subject, report);
	const landlock = "whether Landlock confines it cannot be seen; if it did, it does no more when it comes back";
	// an ordinary user can only confine himself where exec gives no privileges
	report((noNewPrivileges ? caution : note)("confinement", subject, landlock));
}

/** The first XSAVE component that needs permission: AMX's tiles (arch/x86/include/asm/fpu/types.h). */
const DYNAMIC = 18n;

const isUsers = ({ session, user }: Keyrings): boolean => session.every((key) => key === user);

function keyringLosses(keyrings: Keyrings): readonly string[] {
	const { session, user, own } = keyrings;
	const keys = session.filter((key) => key !== user).length;
	return [
		...(keys === 0
			? []
			: [`its session keyring held ${keys} key${keys === 1 ? "" : "s"}; it comes back with a new one`]),
		...(own ? ["it had keyrings of its own for process or thread; they are gone"] : []),
	];
}

function reportLogin(pid: number, subject: string, report: (finding: Finding) => void): void {
	const [theirs, ours] = [readLoginUid(pid), readLoginUid("self")];
	if (theirs === undefined || theirs === ours) return;
	report(caution("credentials", subject, `has audit's login uid ${theirs}; it comes back with the restorer's`));
}

function reportCgroup(pid: number, subject: string, report: (finding: Finding) => void): void {
	const [theirs, ours] = [readCgroup(pid), readCgroup("self")];
	if (theirs === undefined || theirs === ours) return;
	report(caution("confinement", subject, `was in cgroup ${theirs}; it comes back in the restorer's`));
}
