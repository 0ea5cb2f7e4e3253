import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const [nodes, shells] = [join(here, "victim.mjs"), join(here, "victim.sh")];

/** What may die, by name: given its log, a program to run. */
export const victims = {
	node: (log) => ({
		title: "node, with a Map that grows in its memory",
		source: nodes,
		// what io_uring holds is the kernel's, and in no core
		program: { path: process.execPath, args: [nodes, log], env: { UV_USE_IO_URING: "0" } },
	}),
	sh: (log) => ({
		title: "a shell, with a list that grows in its memory",
		source: shells,
		program: { path: "/bin/sh", args: [shells, log], env: { PATH: process.env.PATH ?? "/usr/bin:/bin" } },
	}),
};
