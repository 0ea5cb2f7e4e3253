import { EventEmitter } from "node:events";
import { describe, expect, it } from "vitest";
import { watchOutput } from "../../../src/cli/broken-output.ts";
import { openTerminal, type ProcessLike } from "../../../src/cli/terminal.ts";

const RED = "\u001b[31mx\u001b[39m";

/** A terminal of streams that keep what they are given. */
function terminalOf(tty: { out?: boolean; err?: boolean; columns?: number }, env: ProcessLike["env"] = {}) {
	const written = { out: "", err: "" };
	const stream = (name: "out" | "err") => ({
		write: (text: string) => {
			written[name] += text;
		},
		isTTY: tty[name] ?? false,
		...(tty.columns === undefined ? {} : { columns: tty.columns }),
	});
	return { terminal: openTerminal({ stdout: stream("out"), stderr: stream("err"), env }), written };
}

describe("openTerminal", () => {
	it("keeps data and talk apart", () => {
		const { terminal, written } = terminalOf({});
		terminal.out("data\n");
		terminal.err("talk\n");
		expect(written).toEqual({ out: "data\n", err: "talk\n" });
	});

	it.each([
		[true, {}, RED],
		[false, {}, "x"],
		[true, { NO_COLOR: "1" }, "x"],
		// no-color.org: "when present and not an empty string"
		[true, { NO_COLOR: "" }, RED],
		[true, { TERM: "dumb" }, "x"],
		[false, { FORCE_COLOR: "1" }, RED],
		[false, { FORCE_COLOR: "" }, RED],
		[true, { FORCE_COLOR: "0" }, "x"],
		[true, { FORCE_COLOR: "false" }, "x"],
		[false, { FORCE_COLOR: "3", NO_COLOR: "1", TERM: "dumb" }, RED],
	] as const)("terminal %s with %j", (out, env, expected) => {
		expect(terminalOf({ out }, env).terminal.paint.red("x")).toBe(expected);
		expect(terminalOf({ err: out }, env).terminal.errPaint.red("x")).toBe(expected);
	});

	it("colours each stream by what it is", () => {
		const { terminal } = terminalOf({ out: false, err: true });
		expect([terminal.paint.red("x"), terminal.errPaint.red("x"), terminal.interactive]).toEqual(["x", RED, true]);
		expect(terminalOf({ out: true }).terminal.interactive).toBe(false);
	});

	it("takes a reader that leaves early for what it is", () => {
		const stdout = Object.assign(new EventEmitter(), { write: () => true });
		const broken = watchOutput([stdout]);
		stdout.emit("error", Object.assign(new Error("write"), { code: "EPIPE" }));
		expect(broken()).toBeUndefined();
		stdout.emit("error", Object.assign(new Error("write"), { code: "ENOSPC" }));
		expect(broken()?.code).toBe("ENOSPC");
	});

	it("knows how wide it is", () => {
		expect([terminalOf({}).terminal.columns, terminalOf({ columns: 132 }).terminal.columns]).toEqual([80, 132]);
	});
});
