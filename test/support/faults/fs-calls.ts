import fs, { promises } from "node:fs";
import { syncBuiltinESMExports } from "node:module";

/**
 * Runs `work` with something done before each of its calls of these functions of node:fs, and of copyFile of its promises.
 *
 * @param before Told the function's name and arguments; what it throws, the call throws.
 */
export async function beforeFsCalls<T>(
	names: readonly string[],
	before: (name: string, args: readonly unknown[]) => void,
	work: () => Promise<T>,
): Promise<T> {
	const functions = fs as unknown as Record<string, (...args: unknown[]) => unknown>;
	const real = Object.fromEntries(names.map((name) => [name, functions[name]]));
	const { copyFile } = promises;
	for (const name of names) {
		const call = functions[name];
		functions[name] = (...args) => {
			before(name, args);
			return call?.(...args);
		};
	}
	promises.copyFile = async (...args) => {
		before("copyFile", args);
		await copyFile(...args);
	};
	syncBuiltinESMExports();
	try {
		return await work();
	} finally {
		Object.assign(functions, real);
		promises.copyFile = copyFile;
		syncBuiltinESMExports();
	}
}
