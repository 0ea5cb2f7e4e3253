import { execFileSync, spawn } from "node:child_process";
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { dump } from "../../../src/dump/dump.ts";
import { coreFromImages } from "./core-from-images.ts";
import { soon } from "./living.ts";

/** A user's program with libraries and data of its own, as it died. */
export interface Linked {
	readonly directory: string;
	readonly pid: number;
	/** Its core, the user's. */
	readonly core: string;
	/** Root's dump of it. */
	readonly images: string;
	/** In its directory: `prog`, `libone.so`, `libtwo.so`, mapped; `data`, mapped too; `log`, open as descriptor 3. */
	at(name: LinkedFile): string;
	close(): void;
}

export type LinkedFile = "prog" | "libone.so" | "libtwo.so" | "data" | "log";

export const LINKED_USER = 1000;
const PROGRAM = `
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
int one(void), two(void);
int main(int c, char **v) {
	int data = open(v[1], O_RDONLY);
	mmap(0, 4096, PROT_READ, MAP_PRIVATE, data, 0);
	close(data);
	open(v[2], O_WRONLY | O_CREAT | O_APPEND, 0644);
	write(3, "here\\n", 4 + one() + two());
	for (;;) pause();
}
`;

/** Makes it, with gcc, and kills it; as root. */
export async function linked(): Promise<Linked> {
	const directory = mkdtempSync(join(tmpdir(), "necromancer-linked-"));
	const at = (name: string): string => join(directory, name);
	const close = (): void => rmSync(directory, { recursive: true, force: true });
	try {
		chmodSync(directory, 0o755);
		for (const name of ["one", "two"]) {
			writeFileSync(at(`${name}.c`), `int ${name}(void) { return ${name === "one" ? 1 : 0}; }\n`);
			execFileSync("gcc", ["-shared", "-fPIC", "-Wl,--build-id", "-o", at(`lib${name}.so`), at(`${name}.c`)]);
		}
		writeFileSync(at("prog.c"), PROGRAM);
		const libraries = [`-Wl,-rpath,${directory}`, "-L", directory, "-lone", "-ltwo"];
		execFileSync("gcc", ["-O1", "-w", "-Wl,--build-id", "-o", at("prog"), at("prog.c"), ...libraries]);
		writeFileSync(at("data"), "d".repeat(4096));
		writeFileSync(at("log"), "");
		chownSync(at("log"), LINKED_USER, LINKED_USER);
		const child = spawn(at("prog"), [at("data"), at("log")], {
			...{ uid: LINKED_USER, gid: LINKED_USER, cwd: "/", env: {}, detached: true, stdio: "ignore" },
		});
		const pid = child.pid ?? 0;
		expect(await soon(() => readFileSync(at("log"), "utf8") === "here\n")).toBe(true);
		const images = at("images");
		await dump(pid, { images, afterwards: "end", pages: true, missing: "error" });
		const core = at("core");
		await coreFromImages(images, core);
		chownSync(core, LINKED_USER, LINKED_USER);
		return { directory, pid, core, images, at, close };
	} catch (error) {
		close();
		throw error;
	}
}
