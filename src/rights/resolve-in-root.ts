import { lstatSync, readlinkSync, realpathSync, type Stats, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { bytesFromText, textFromBytes } from "../bytes/text.ts";

/** A path, resolved inside a root directory. */
export interface Resolved {
	/** The path on this host, without symbolic links below the root. */
	readonly path: string;
	/** From the root of the tree: "/usr/lib/x". */
	readonly inner: string;
	readonly stat: Stats;
	/** The directories below the root that lead there, the root itself aside. */
	readonly through: readonly Stats[];
	/** The symbolic links that were followed. */
	readonly links: readonly Stats[];
}

/** As in the kernel (MAXSYMLINKS, include/linux/namei.h). */
const MOST_LINKS = 40;

/**
 * Resolves a path as after chroot(2): neither ".." nor a symbolic link leads out of the root. `undefined` where nothing is, or
 * nothing that we may look at.
 */
export function resolveInRoot(root: string, path: string): Resolved | undefined {
	const todo = componentsOf(path).reverse();
	const at: { readonly name: string; readonly stat: Stats }[] = [];
	const links: Stats[] = [];
	for (;;) {
		const name = todo.pop();
		if (name === undefined) break;
		if (name === "..") {
			at.pop();
			continue;
		}
		const here = pathOf(root, [...at.map((step) => step.name), name]);
		const stat = attemptOr(undefined, () => lstatSync(here));
		if (stat === undefined) return undefined;
		if (!stat.isSymbolicLink()) {
			at.push({ name, stat });
			continue;
		}
		links.push(stat);
		const target = links.length > MOST_LINKS ? undefined : attemptOr(undefined, () => readlinkSync(here, "buffer"));
		if (target === undefined) return undefined;
		const text = textFromBytes(target);
		if (text.startsWith("/")) at.length = 0;
		todo.push(...componentsOf(text).reverse());
	}
	const last = at.at(-1);
	if (last === undefined) return undefined;
	const names = at.map(({ name }) => name);
	return {
		path: textFromBytes(pathOf(root, names)),
		inner: `/${names.join("/")}`,
		stat: last.stat,
		through: at.slice(0, -1).map(({ stat }) => stat),
		links,
	};
}

/** The owner of a followed link who is neither root, nor ourselves, nor that user; `undefined` for none. */
export const foreignLinkOwner = ({ links }: Pick<Resolved, "links">, user: number): number | undefined =>
	links.find(({ uid }) => ![0, user, process.geteuid?.()].includes(uid))?.uid;

const componentsOf = (path: string): string[] => path.split("/").filter((name) => name !== "" && name !== ".");

/** As bytes: file names need not be UTF-8. */
const pathOf = (root: string, names: readonly string[]): Buffer =>
	Buffer.from(bytesFromText(`${root === "/" ? "" : root}/${names.join("/")}`));

/**
 * The absolute name of a tree or file without symbolic links, as /proc/PID/maps will show it; with them where it cannot be
 * named without. folklore: readlink(2) of /proc/PID/root says "/", yet it leads into another mount namespace
 * (proc_pid_root(5)).
 */
export function realPath(path: string): string {
	const whole = resolve(path);
	return attemptOr(whole, () => {
		const real = realpathSync(whole);
		const [given, named] = [statSync(whole, { bigint: true }), statSync(real, { bigint: true })];
		return given.dev === named.dev && given.ino === named.ino ? real : whole;
	});
}

/** Whether `path` lies in the tree of `root`; both absolute and without symbolic links. */
export const isBelow = (root: string, path: string): boolean => path.startsWith(join(root, "/"));

function attemptOr<T>(otherwise: T, look: () => T): T {
	try {
		return look();
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === undefined) throw error;
		return otherwise;
	}
}
