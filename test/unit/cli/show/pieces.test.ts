import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type UserRegs, userRegs } from "../../../../src/arch/x86-64/registers.ts";
import { address } from "../../../../src/bytes/address.ts";
import { fold } from "../../../../src/cli/fold.ts";
import { jsonText } from "../../../../src/cli/json-text.ts";
import { callOf, callText } from "../../../../src/cli/show/call.ts";
import { commandText } from "../../../../src/cli/show/command-text.ts";
import { actionFlags } from "../../../../src/cli/show/handlers.ts";
import { countJson } from "../../../../src/cli/show/json.ts";
import { each, jsonPieces } from "../../../../src/cli/show/json-stream.ts";
import { limitsText } from "../../../../src/cli/show/limits.ts";
import { placeOf, placeText } from "../../../../src/cli/show/places.ts";
import { maskText } from "../../../../src/cli/show/threads.ts";
import { secondsText, timersText } from "../../../../src/cli/show/timers.ts";
import { sizeText } from "../../../../src/cli/size-text.ts";
import { tableLines } from "../../../../src/cli/table.ts";
import { openTerminal } from "../../../../src/cli/terminal.ts";

const { paint } = openTerminal({ stdout: { write: () => {} }, stderr: { write: () => {} }, env: {} });

const registers = (some: Partial<UserRegs>): UserRegs => ({
	...userRegs.decode(new Uint8Array(userRegs.size)),
	...some,
});

describe("sizeText", () => {
	it.each([
		[0n, "0"],
		[1n, "1"],
		[1023n, "1023"],
		[1024n, "1K"],
		[1536n, "1.5K"],
		[4096n, "4K"],
		[10_239n, "10K"],
		[135_168n, "132K"],
		[1_048_575n, "1M"],
		[1_572_864n, "1.5M"],
		[1n << 30n, "1G"],
		[(1n << 47n) - 4096n, "128T"],
		[(1n << 64n) - 1n, "16E"],
	])("%d is %s", (bytes, text) => {
		expect(sizeText(bytes)).toBe(text);
	});

	it("is short, and never falls as sizes grow", () => {
		const value = (text: string): number => {
			const [, digits = "", unit = ""] = /^([\d.]+)([KMGTPE]?)$/.exec(text) ?? [];
			return Number(digits) * 1024 ** " KMGTPE".indexOf(unit || " ");
		};
		fc.assert(
			fc.property(fc.bigInt({ min: 0n, max: 1n << 64n }), fc.bigInt({ min: 0n, max: 1n << 20n }), (a, more) => {
				expect(sizeText(a).length).toBeLessThanOrEqual(5);
				expect(value(sizeText(a + more))).toBeGreaterThanOrEqual(value(sizeText(a)));
				expect(Math.abs(value(sizeText(a)) - Number(a))).toBeLessThanOrEqual(Number(a) * 0.051);
			}),
		);
	});
});

describe("tableLines", () => {
	it("aligns, drops empty columns, ends lines at their last cell", () => {
		const painted = { text: "b", paint: (text: string) => `<${text}>` };
		expect(
			tableLines("rlll", [
				["1", painted, "", "end"],
				["22", "", "", ""],
				["333", "語x", "", "z"],
			]),
		).toEqual(["    1  <b>   end", "   22", "  333  語x  z"]);
		expect(tableLines("l", [[""]])).toEqual([""]);
	});
});

describe("fold", () => {
	it("keeps short lists and what was asked for whole, else head and tail", () => {
		const items = Array.from({ length: 100 }, (_, i) => i);
		expect(fold(items.slice(0, 48), false).hidden).toEqual([]);
		expect(fold(items, true)).toEqual({ head: items, hidden: [], tail: [] });
		const { head, hidden, tail } = fold(items, false);
		expect([head.length, hidden.length, tail.length]).toEqual([32, 60, 8]);
		expect([...head, ...hidden, ...tail]).toEqual(items);
	});
});

describe("callText", () => {
	it.each([
		[{ orig_ax: 230n, di: 1n, si: 1n, dx: 0x7ffd_0000n }, "clock_nanosleep(1, 1, 0x7ffd0000, 0)"],
		[{ orig_ax: 0n, di: 4n, si: 0x7f00_0000_1000n, dx: 1n }, "read(4, 0x7f0000001000, 1)"],
		[{ orig_ax: 202n, di: 0x5000_0000n, si: 0x189n, dx: 7n }, "futex(0x50000000, FUTEX_WAIT_BITSET, 7, 0)"],
		[{ orig_ax: 202n, di: 0x5000_0000n, si: 0x81n, dx: 1n }, "futex(0x50000000, FUTEX_WAKE, 1)"],
		[{ orig_ax: 202n, di: 0x5000_0000n, si: 0x7fn }, "futex(0x50000000, 127, 0)"],
		[{ orig_ax: 232n, di: 7n, si: 0x8000_0000n, dx: 1n, r10: 0xffff_ffffn }, "epoll_wait(7, 0x80000000, 1, -1)"],
		[{ orig_ax: 257n, di: 0xffff_ff9cn, si: 0x60_0000n }, "openat(-100, 0x600000, 0, 0)"],
		[{ orig_ax: 61n, di: 0xffff_ffff_ffff_ffffn }, "wait4(-1, 0, 0, 0)"],
		[{ orig_ax: 34n }, "pause()"],
		[{ orig_ax: 9n }, "mmap(…)"],
		[{ orig_ax: 9999n }, "syscall 9999(…)"],
	])("case %#", (some, text) => {
		const call = callOf(registers(some));
		expect(call && callText(call)).toBe(text);
	});

	it("is nothing for a thread in no call", () => {
		expect(callOf(registers({ orig_ax: 0xffff_ffff_ffff_ffffn }))).toBeUndefined();
	});
});

describe("placeText", () => {
	const place = (start: bigint, end: bigint, label: string, file?: { path: string; offset: bigint }) => ({
		start: address(start),
		end: address(end),
		label,
		...file,
	});
	const places = [
		place(0x1000n, 0x2000n, "x", { path: "/lib/lib\u001b.so", offset: 0x5000n }),
		place(0x3000n, 0x4000n, "[vdso]"),
		place(0x4000n, 0x5000n, "anonymous"),
		place(0x5000n, 0x6000n, "[memfd \u202e]"),
	];

	it.each([
		[0x1010n, "lib\\x1b.so+0x5010"],
		[0x3ff0n, "[vdso]+0xff0"],
		[0x4000n, "0x4000 (anonymous)"],
		[0x5001n, "[memfd \\u{202e}]+0x1"],
		[0x2000n, "0x2000 (not mapped)"],
		[0n, "0x0 (not mapped)"],
	])("%d", (at, text) => {
		expect(placeText(address(at), places)).toBe(text);
	});

	it("tells programs the same", () => {
		expect(placeOf(0x1010n, places)).toEqual({ path: "/lib/lib\u001b.so", label: null, offset: "0x5010" });
		expect(placeOf(0x3ff0n, places)).toEqual({ path: null, label: "[vdso]", offset: "0xff0" });
		expect(placeOf(0x2000n, places)).toBeNull();
	});
});

describe("commandText", () => {
	it("quotes what a shell would split or a terminal obey", () => {
		expect(commandText(["/bin/a", "-x=1", "b c", "it's", "", "é", "$HOME"], false)).toBe(
			"/bin/a -x=1 'b c' 'it'\\''s' '' é '$HOME'",
		);
		expect(commandText(["a\n'b'\u001b"], false)).toBe("$'a\\x0a\\'b\\'\\x1b'");
	});

	it("cuts what is long, unless it is wanted", () => {
		const long = "x".repeat(200);
		expect(commandText([long], false)).toBe(`${"x".repeat(120)}… (-v shows all)`);
		expect(commandText([long], true)).toBe(long);
	});
});

describe("signals and times", () => {
	it("says masks by what they leave out, when that is less", () => {
		expect(maskText(0b101n)).toBe("SIGHUP, SIGQUIT");
		expect(maskText((1n << 64n) - 1n)).toBe("every signal");
		expect(maskText(((1n << 64n) - 1n) & ~(1n << 8n) & ~(1n << 18n))).toBe("every signal");
		expect(maskText(((1n << 64n) - 1n) & ~0b100n)).toBe("all but SIGQUIT");
	});

	it("names the flags of an action", () => {
		expect(actionFlags(0x0400_0004n)).toEqual(["SA_SIGINFO", "SA_RESTORER"]);
		expect(actionFlags(0x8000_0000n)).toEqual(["SA_RESETHAND"]);
		expect(actionFlags(0x1_9000_0010n)).toEqual(["SA_RESTART", "0x10", "SA_RESETHAND", "0x100000000"]);
	});

	it.each([
		[0n, 6, "0 s"],
		[1_500_000n, 6, "1.5 s"],
		[-1n, 9, "-0.000000001 s"],
		[7_409_314_668_783n, 9, "7409.314668783 s"],
	])("%d with %d digits", (value, digits, text) => {
		expect(secondsText(value, digits)).toBe(text);
	});

	it("lists timers that are set", () => {
		const none = { remaining: 0n, interval: 0n };
		const posix = {
			id: 0,
			clock: 1,
			signal: 14,
			notify: 4,
			value: 0n,
			thread: 7,
			overrun: 0,
			remaining: 5n,
			interval: 0n,
		};
		const text = timersText(
			{
				intervalTimers: { real: { remaining: 250_000n, interval: 1_000_000n }, virtual: none, profiling: none },
				posixTimers: [posix, { ...posix, id: 1, clock: -6, notify: 1, remaining: 0n }],
			},
			paint,
		);
		expect(text).toBe(`
timers (3)
  real                                           in 0.25 s, then every 1 s
  posix 0  CLOCK_MONOTONIC  SIGALRM to thread 7  in 0.000000005 s
  posix 1  clock -6         tells nobody         not armed
`);
	});

	it("lists limits that limit", () => {
		const all = Array.from({ length: 17 }, (_, i) => ({
			soft: i === 3 || i === 0 ? 8192n : (1n << 64n) - 1n,
			hard: 9000n,
		}));
		expect(limitsText(all, paint, false)).toBe(`
limits (soft, hard)
  cpu    8192 s  9000 s
  stack      8K    8.8K
`);
		expect(limitsText(all, paint, true).split("\n")).toHaveLength(20);
	});
});

it("JSON in pieces is what it is in one", () => {
	fc.assert(
		fc.property(fc.array(fc.jsonValue(), { maxLength: 4 }), fc.jsonValue(), (list, value) => {
			const pieces = jsonPieces({ list: each(list, (item) => item), value, none: each([], () => 1), inner: { value } });
			expect([...pieces].join("")).toBe(jsonText({ list, value, none: [], inner: { value } }));
			const nested = jsonPieces({ all: each([list, list], (items) => ({ items: each(items, (item) => item) })) });
			expect([...nested].join("")).toBe(jsonText({ all: [{ items: list }, { items: list }] }));
		}),
	);
});

describe("jsonText", () => {
	it("is the same value, and harmless to a terminal", () => {
		fc.assert(
			fc.property(fc.string({ unit: "binary" }), (text) => {
				const json = jsonText({ [text]: text });
				expect(json.replace(/[\n\t]/g, "")).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/u);
				expect(JSON.parse(json)).toEqual({ [text]: text });
			}),
		);
		expect(jsonText("\u{e0041}\udce9")).toBe('"\\udb40\\udc41\\udce9"\n');
	});

	it("keeps large counts exact", () => {
		expect([countJson((1n << 53n) - 1n), countJson(1n << 53n)]).toEqual([9007199254740991, "9007199254740992"]);
	});
});
