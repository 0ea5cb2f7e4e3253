import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { bytesAt, type Death, longAt, type Program } from "../support/lives/deaths.ts";
import { deathsRoom } from "../support/lives/deaths-room.ts";
import type { Room } from "../support/lives/room.ts";

// Deaths of programs whose files are not what they were, and of memory that its program kept out of the core.

let room: Room;
let program: Program;
const deaths = deathsRoom({ first: 60_001 }, (there) => {
	({ room, program } = there);
});
const { able, needs, directory, raise } = deaths;
let copies = 0;
/** A copy of the program, which may be taken away, died. */
const dead = (how: string): Death & { readonly own: string } => {
	const own = join(directory, `program-${++copies}`);
	copyFileSync(program.binary, own);
	return { ...deaths.dead(how, { ...program, binary: own }), own };
};

describe.skipIf(!able)(`files that are not what they were${needs}`, () => {
	it("a program that was deleted is not started with zeros for its code", () => {
		const { core, own, pid } = dead("deleted");
		const refused = raise("--run", core);
		expect([refused.status, refused.stdout]).toEqual([5, ""]);
		expect(refused.stderr).toMatch(
			new RegExp(
				`^necromancer: ${own}: was deleted, and \\d+ bytes of its code at 0x\\w+ are not in the core, expected its code; raise it with a copy of the file \\(--map-file OLD=NEW, or --search DIR\\), or insist with --allow-mismatch: what is missing reads as zeros then \\[ERR_BINARY_MISSING\\]\n$`,
			),
		);
		expect(raise("-q", "--map-file", `${own}=${program.binary}`, core)).toEqual({ status: 0, stdout: "", stderr: "" });
		expect(longAt(room, pid, program.at("total"))).toBe(4711n);
	});

	it("a program that is another now is a loss where it is insisted on", () => {
		const { core, own } = dead("count");
		const bytes = readFileSync(own);
		// the build-id, which the core has too
		const id = bytes.indexOf(Buffer.from("\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0", "latin1")) + 16;
		bytes[id] = (bytes[id] ?? 0) ^ 255;
		writeFileSync(own, bytes);
		expect(raise("--run", core)).toMatchObject({ status: 5, stderr: expect.stringContaining("ERR_BINARY_MISMATCH") });
		const { status, stdout } = raise("--json", "--allow-mismatch", core);
		expect(status).toBe(0);
		expect(JSON.parse(stdout).findings).toContainEqual(
			expect.objectContaining({ weight: "loss", code: "binary-differs", subject: own }),
		);
	});
});

describe.skipIf(!able)(`memory that was kept out of the core${needs}`, () => {
	it("reads as zeros, and it is said", () => {
		const { core, pid } = dead("dontdump");
		const { status, stdout } = raise("--json", core);
		expect(status).toBe(0);
		const at = Number(longAt(room, pid, program.at("shown")));
		expect(JSON.parse(stdout).findings).toContainEqual({
			...{ weight: "caution", code: "contents-lost", subject: `mapping 0x${at.toString(16)}` },
			text: "65536 bytes of writable memory, none of it in the core: never written to, or kept out of it (MADV_DONTDUMP); they read as zeros",
		});
		expect(bytesAt(room, pid, at, 65536).every((byte) => byte === 0)).toBe(true);
	});
});
