import { expect } from "vitest";
import type { Credentials, Task, Thread } from "../../../src/forest/task.ts";
import { present } from "../present.ts";
import type { ModelCredentials, ModelThread } from "./model-threads.ts";
import type { runThreads } from "./run-threads.ts";

// A task in the words of the models.

export const signalled = (infos: readonly Uint8Array[]): string[] =>
	infos.map((info) => Buffer.from(info).toString("hex"));

export const modelOf = ({
	uid,
	euid,
	suid,
	gid,
	egid,
	sgid,
	fsuid,
	fsgid,
	groups,
	...rest
}: Credentials): ModelCredentials => ({
	...{ uid: [uid, euid, suid], gid: [gid, egid, sgid], fsuid, fsgid, groups: [...groups] },
	...rest,
});

/** What a thread is to be, as the model tells it. */
export const threadModelOf = (it: Thread): Omit<ModelThread, "name"> & { readonly name?: string } => ({
	...{ tid: it.tid, fsBase: it.registers.fs_base, gsBase: it.registers.gs_base, ...it.scheduling },
	...(it.clearTid === undefined ? {} : { clearTid: it.clearTid }),
	...(it.robustList === undefined ? {} : { robustList: it.robustList }),
	...(it.rseq === undefined ? {} : { rseq: it.rseq }),
	...{ parentDeathSignal: it.parentDeathSignal, mask: (1n << 64n) - 1n, pending: signalled(it.pending) },
	credentials: modelOf(it.credentials),
});

/** Every thread left, and from a frame of its own. */
export function expectFrames(whole: Task, frames: ReturnType<typeof runThreads>["frames"], xcr0: bigint): void {
	expect([...frames.keys()].sort()).toEqual(whole.threads.map(({ tid }) => tid).sort());
	for (const { tid, registers, blocked, alternateStack, xstate } of whole.threads) {
		const frame = present(frames.get(tid));
		expect(frame.registers).toEqual(
			Object.fromEntries(
				Object.keys(frame.registers).map((name) => [name, registers[name as "ip"] & ~(name === "flags" ? 0x100n : 0n)]),
			),
		);
		expect(frame.mask).toBe(blocked);
		expect(frame.stack).toEqual(alternateStack ?? { base: 0n, flags: 2, size: 0n });
		expect(frame.xfeatures).toBe(xcr0);
		expect(frame.area.readBigUInt64LE(512)).toBe(xstate.xstateBv & xcr0);
		const sse = (xstate.xstateBv & 2n) !== 0n;
		const words = Array.from({ length: 64 }, (_, i) => frame.area.readUInt32LE(160 + 4 * i));
		expect(words).toEqual(sse ? xstate.fx.xmm_space : words.map(() => 0));
		expect(frame.area.readUInt32LE(24)).toBe((xstate.xstateBv & 6n) !== 0n ? xstate.fx.mxcsr : 0x1f80);
	}
}
