import { closeSync, constants, openSync } from "node:fs";
import { O_PATH } from "../bytes/source.ts";
import { bytesFromText } from "../bytes/text.ts";
import { refuse } from "../errors.ts";
import type { TreeRoot } from "../inputs/open-nodes.ts";
import { realPath } from "../rights/resolve-in-root.ts";
import type { FileSearch, SearchPlaces } from "./file-search.ts";

/** The directories that files are looked for in, opened as whoever names them. */
export interface OpenedTrees {
	/** Ours; to be handed to the agent in this order. */
	readonly descriptors: readonly number[];
	/** Where they are when the agent has them. @param first The agent's number of the first. */
	places(first: number): Pick<SearchPlaces, "sysroot" | "search">;
	close(): void;
}

/** @throws NecromancerError ERR_USAGE for what is no directory: probably a typing error. */
export function openTrees({ sysroot, search = [] }: FileSearch): OpenedTrees {
	const descriptors: number[] = [];
	const close = (): void => {
		for (const fd of descriptors.splice(0)) closeSync(fd);
	};
	const opened = (option: string, path: string): string => {
		const real = realPath(path);
		try {
			const name = Buffer.from(bytesFromText(real));
			descriptors.push(openSync(name, O_PATH | constants.O_DIRECTORY));
		} catch (cause) {
			close();
			return refuse(
				"ERR_USAGE",
				{
					subject: `${option} ${path}`,
					finding: "is no directory",
					expectation: "expected one to look in",
				},
				{ cause },
			);
		}
		return real;
	};
	const root = sysroot === undefined ? undefined : opened("--sysroot", sysroot);
	const others = search.map((path) => opened("--search", path));
	return {
		descriptors,
		places: (first) => {
			const tree = (path: string, i: number): TreeRoot => ({ path, number: first + i });
			const below = root === undefined ? [] : [root];
			return {
				...(root === undefined ? {} : { sysroot: tree(root, 0) }),
				search: others.map((path, i) => tree(path, below.length + i)),
			};
		},
		close,
	};
}
