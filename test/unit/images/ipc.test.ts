import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { fileOffset } from "../../../src/bytes/address.ts";
import { bytesOf } from "../../../src/bytes/extent.ts";
import { openImageDir } from "../../../src/criu/image-dir.ts";
import { taskFromImages } from "../../../src/images/read/from-images.ts";
import { SMALL_IPC } from "../../support/builders/small-ipc.ts";
import { map, smallTask } from "../../support/builders/small-task.ts";
import { writeImagesOf } from "../../support/builders/written-images.ts";
import { present } from "../../support/present.ts";
import { quickScratch } from "../../support/scratch.ts";
import { hasTool } from "../../support/tools.ts";

const AT = 0x7000_0000_0000n;

async function written() {
	const out = join(quickScratch(), "images");
	const shown = map(AT, 3, { kind: "sysv", id: 32771n, offset: fileOffset(0) }, { shared: true });
	const task = smallTask({ memory: { mappings: [map(0x10_0000n, 1, { kind: "anonymous" }), shown] } });
	await writeImagesOf({ ...task, ipc: SMALL_IPC }, out);
	return out;
}

describe("an IPC namespace in images", () => {
	it("is read as it was", async () => {
		const dir = openImageDir(await written());
		const { ipc, memory } = taskFromImages(dir);
		const bytes = ({ segments, queues, ...more }: typeof SMALL_IPC) => ({
			...more,
			segments: segments.map(({ contents, ...it }) => ({
				...it,
				contents: contents.map((content) => [content.start, bytesOf(content)?.toString("latin1")]),
			})),
			queues: queues.map(({ messages, ...it }) => ({
				...it,
				messages: messages.map(({ type, text }) => [type, bytesOf(text)?.toString("latin1")]),
			})),
		});
		expect(bytes(present(ipc))).toEqual(bytes(SMALL_IPC));
		expect(memory.mappings.map(({ backing }) => backing)).toContainEqual({ kind: "sysv", id: 32771n, offset: 0n });
		dir.close();
	});

	const hasProtoc = hasTool("protoc");
	it.skipIf(!hasProtoc)(`is in CRIU's own records${hasProtoc ? "" : " (needs protoc)"}`, async () => {
		const out = await written();
		const decoded = (file: string, type: string, record = 0): string => {
			const image = readFileSync(join(out, file));
			let at = 8;
			for (let i = 0; i < record; i++) at += 4 + image.readUInt32LE(at);
			const protos = fileURLToPath(new URL("../../../proto/", import.meta.url));
			const arguments_ = [`-I${protos}`, `--decode=${type}`, "namespaces.proto"];
			const input = image.subarray(at + 4, at + 4 + image.readUInt32LE(at));
			const { stdout, stderr } = spawnSync("protoc", arguments_, { input, encoding: "utf8" });
			return (stderr + stdout).replace(/\s+/g, " ").trim();
		};
		expect(decoded("ipcns-var-9.img", "ipc_var_entry")).toBe(
			"sem_ctls: 100 sem_ctls: 2000 sem_ctls: 30 sem_ctls: 40 msg_ctlmax: 4000 msg_ctlmnb: 16384 msg_ctlmni: 32000 auto_msgmni: 0 " +
				`shm_ctlmax: ${1n << 40n} shm_ctlall: 18446744073692774399 shm_ctlmni: 4096 shm_rmid_forced: 0 ` +
				"mq_queues_max: 256 mq_msg_max: 10 mq_msgsize_max: 8192 mq_msg_default: 10 mq_msgsize_default: 8192",
		);
		expect(decoded("ipcns-shm-9.img", "ipc_shm_entry")).toBe(
			"desc { key: 3735928559 uid: 7 gid: 8 cuid: 9 cgid: 10 mode: 416 id: 32771 } size: 9000 in_pagemaps: true",
		);
		expect(decoded("ipcns-shm-9.img", "ipc_shm_entry", 1)).toContain("id: 2 } size: 4096 in_pagemaps: true");
		expect(decoded("ipcns-sem-9.img", "ipc_sem_entry")).toContain("id: 5 } nsems: 3");
		expect(readFileSync(join(out, "ipcns-sem-9.img")).subarray(-8).toString("hex")).toBe("01000000ff7f0000");
		expect(decoded("ipcns-msg-9.img", "ipc_msg_entry")).toContain("id: 1 } qbytes: 20000 qnum: 2");
		expect(decoded("ipcns-msg-9.img", "ipc_msg", 1)).toBe("mtype: 3 msize: 19");
	});

	it("is refused with an object that is there twice", async () => {
		const out = join(quickScratch(), "images");
		const [set] = SMALL_IPC.semaphores;
		await writeImagesOf({ ...smallTask({}), ipc: { ...SMALL_IPC, semaphores: [present(set), present(set)] } }, out);
		const dir = openImageDir(out);
		expect(() => taskFromImages(dir)).toThrow("ipcns-sem-9.img: has object 5 twice, expected it once");
		dir.close();
	});
});
