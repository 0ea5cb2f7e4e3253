import type { ChildProcess } from "node:child_process";
import { Duplex } from "node:stream";
import { plus } from "../bytes/address.ts";
import { once } from "../bytes/once.ts";
import { refuse } from "../errors.ts";
import { AGENT_FD, REPORT_FD, reportLayout, requestLayout } from "../program/abi.ts";
import { mapArgs } from "../program/calls.ts";
import type { Agent, AgentAnswer, AgentEnd, AgentRequest, Performed } from "./agent.ts";
import { type BatchArg, batchIn, type Slot, type SyscallBatch } from "./batch.ts";
import type { Blob } from "./blob.ts";
import { type ByteStream, byteStream } from "./byte-stream.ts";
import type { AgentLayout } from "./layout.ts";
import { readReport, reportsFrom } from "./reports.ts";

/** The {@link Agent} that talks to a started process of the blob. Answers come in the order of the requests. */
export function connectAgent(child: ChildProcess, blob: Blob, layout: AgentLayout): Agent {
	const socket = streamAt(child, AGENT_FD);
	const reports = streamAt(child, REPORT_FD);
	const exited = new Promise<AgentEnd>((done) => {
		child.once("exit", (status, signal) => done({ status, signal }));
	});
	let impatient: string | undefined;
	let undo = 0n;
	let turn = 0;

	/** Closing its socket makes it exit. It is killed when it hangs, or at once when it has no undo list. */
	const end = async (): Promise<AgentEnd> => {
		socket.close();
		const timer = setTimeout(() => void child.kill("SIGKILL"), undo === 0n ? 0 : UNDO_PATIENCE);
		return exited.finally(() => clearTimeout(timer));
	};
	const lost = async (doing: string | undefined): Promise<never> => {
		const { status, signal } = await end();
		return refuse("ERR_HOST", {
			subject: "agent",
			finding: impatient ?? `ended with ${signal ?? `status ${status}`}${doing === undefined ? "" : ` while ${doing}`}`,
			expectation: "expected an answer",
		});
	};
	const ask = async (request: AgentRequest): Promise<AgentAnswer> => {
		const { load = [], steps = layout.nothing, reply, doing } = request;
		const last = load.at(-1);
		// Sent without waiting for earlier answers, which are read in the same order.
		const before = load
			.slice(0, -1)
			.map(({ at, bytes }) => exchange(socket, { load_at: at, steps: layout.nothing, undo }, bytes));
		undo = request.undo ?? undo;
		const [report, bytes] = await exchange(
			socket,
			{ load_at: last?.at ?? 0n, steps, undo, reply_at: reply?.at ?? 0n, reply_bytes: BigInt(reply?.length ?? 0) },
			last?.bytes,
		);
		await Promise.all(before);
		if (report === undefined || bytes === undefined) return lost(doing);
		const { id, result } = readReport(report);
		return { ...(id === 0n ? {} : { stoppedAt: id }), result, reply: bytes };
	};
	const run = async (request: AgentRequest): Promise<AgentAnswer> => {
		const { patience, doing } = request;
		if (patience === undefined) return ask(request);
		const timer = setTimeout(() => {
			impatient ??= `gave no answer within ${patience} ms${doing === undefined ? "" : ` while ${doing}`}`;
			void end();
		}, patience);
		return ask(request).finally(() => clearTimeout(timer));
	};
	const batch = (): SyscallBatch => batchIn(layout.batches);
	const perform: Agent["perform"] = async (task, options = {}) => {
		const { at, bytes, steps, data } = task.encode();
		const request = { load: [{ at, bytes }], steps, reply: { at, length: data } };
		const { undo: undoing, ...patience } = options;
		if (!Object.hasOwn(options, "undo")) return performed(at, (await run({ ...patience, ...request })).reply);
		const last = undoing?.encode();
		if (last !== undefined) turn = 1 - turn;
		const load = [...(last === undefined ? [] : [last]), ...request.load];
		return performed(at, (await run({ ...patience, ...request, load, undo: last?.steps ?? 0n })).reply);
	};
	return {
		pid: child.pid ?? 0,
		layout,
		clone3: true,
		syscallInstruction: plus(layout.blob, BigInt(blob.symbols.syscall_insn)),
		reports: reportsFrom(reports),
		run,
		call: async (name, ...args) => {
			const one = batch();
			const filled: { readonly bytes: Uint8Array; readonly slot: Slot }[] = [];
			const operand = (arg: bigint | number | Uint8Array): BatchArg => {
				if (!(arg instanceof Uint8Array)) return arg;
				const slot = one.put(arg, 16);
				filled.push({ bytes: arg, slot });
				return slot;
			};
			const result = one.call(name, ...mapArgs({ call: name, args }, operand));
			const done = await perform(one, { doing: name });
			for (const { bytes, slot } of filled) bytes.set(done.bytes(slot));
			return done.result(result);
		},
		batch,
		undoList: () => batchIn(layout.undo[turn === 0 ? 0 : 1]),
		perform,
		exited,
		close: once(async () => {
			await end();
			reports.close();
		}),
	};
}

/** Milliseconds that the undo list may take: a thread that it waits for may hang. */
const UNDO_PATIENCE = 5_000;

function exchange(
	socket: ByteStream,
	request: { load_at: bigint; steps: bigint; undo: bigint; reply_at?: bigint; reply_bytes?: bigint },
	load: Uint8Array = new Uint8Array(),
): Promise<[Buffer | undefined, Buffer | undefined]> {
	const { reply_at = 0n, reply_bytes = 0n } = request;
	socket.send(requestLayout.encode({ ...request, load_bytes: BigInt(load.length), reply_at, reply_bytes }));
	if (load.length > 0) socket.send(load);
	return Promise.all([socket.take(reportLayout.size), socket.take(Number(reply_bytes))]);
}

const performed = (at: bigint, memory: Buffer): Performed => {
	const bytes = (slot: Slot): Buffer => memory.subarray(Number(slot.at - at), Number(slot.at - at) + slot.size);
	return { bytes, result: (slot) => bytes(slot).readBigInt64LE() };
};

function streamAt(child: ChildProcess, fd: number): ByteStream {
	const socket: unknown = child.stdio[fd];
	if (!(socket instanceof Duplex)) throw new TypeError(`descriptor ${fd} of a child is no socket`);
	return byteStream(socket);
}
