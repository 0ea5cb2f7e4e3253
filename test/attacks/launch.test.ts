import fs, { existsSync, readdirSync, readlinkSync, renameSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { expect, it } from "vitest";
import { launch } from "../../src/agent/launch.ts";
import { O } from "../../src/linux/open.ts";
import { scratch } from "../support/scratch.ts";
import { hasGcc, need } from "../support/tools.ts";
import { compile } from "./compile.ts";

/*
 * Root's TMPDIR or XDG_RUNTIME_DIR may be another user's, as `su` leaves them: where the file system takes no files without a name,
 * its owner puts a program of his in the place of the one that is about to be run.
 */

const able = need("gcc", hasGcc());

it.skipIf(!able)(
	`what is run is what was written, whatever its name leads to by then${able ? "" : " (needs gcc)"}`,
	async () => {
		const place = scratch();
		const proof = join(place, "proof");
		const { openSync, writeFileSync: write } = fs;
		Object.assign(fs, {
			openSync: (path: string, flags: number, mode?: number) => {
				if ((flags & O.TMPFILE) === O.TMPFILE) throw Object.assign(new Error(), { code: "EOPNOTSUPP" });
				return openSync(path, flags, mode);
			},
			writeFileSync: (...args: Parameters<typeof write>) => {
				write(...args);
				const [name = ""] = readdirSync(place);
				renameSync(join(place, name), join(place, "away"));
				fs.mkdirSync(join(place, name));
				write(join(place, name, "agent"), `#!/bin/sh\necho >${proof}\n`, { mode: 0o755 });
			},
		});
		syncBuiltinESMExports();
		let child: Awaited<ReturnType<typeof launch>> | undefined;
		try {
			child = await launch(fs.readFileSync(compile("waiting", "-static")), "ignore", [place]);
		} finally {
			Object.assign(fs, { openSync, writeFileSync: write });
			syncBuiltinESMExports();
		}
		try {
			expect(readlinkSync(`/proc/${child.pid}/exe`)).toBe(join(place, "away/agent"));
			expect(existsSync(proof)).toBe(false);
		} finally {
			child.kill("SIGKILL");
		}
	},
);
