import { type ExecFileOptions, execFile } from "node:child_process";
import { defined } from "../../bytes/defined.ts";
import { NecromancerError } from "../../errors.ts";
import type { Capability } from "../../host/capabilities.ts";
import { findGdb } from "../gdb.ts";

/**
 * Whether gdb can write registers here, which it does before every `call`: what `raise --gdb` is for.
 *
 * folklore: gdb before release 14 does not know AMX. On processors that have it (Sapphire Rapids and later) it reads registers,
 * and fails to write them, in any process: "Couldn't write extended state status" (seen with 13.1).
 *
 * @param path As $PATH.
 */
export async function probeGdb(path: string | undefined): Promise<Capability> {
	const capability = (obstacle?: string): Capability => ({
		name: "gdb",
		ok: obstacle === undefined,
		...defined({ found: obstacle }),
		without: "raise --gdb shows the process, and can neither call its functions nor change its registers",
	});
	let gdb: string;
	try {
		gdb = findGdb(path);
	} catch (cause) {
		if (!(cause instanceof NecromancerError)) throw cause;
		return { ...capability("is in no directory of PATH"), without: "raise --gdb has nobody to hand the process to" };
	}
	const trial = await run(gdb, trialArguments);
	if (trial.includes(WRITTEN)) return capability();
	const [, release] = /([\d.]+)\S*$/.exec((await run(gdb, ["--version"])).split("\n")[0] ?? "") ?? [];
	const named = release === undefined ? "this gdb" : `gdb ${release}`;
	if (trial.includes(UNKNOWN_STATE))
		return capability(
			`${named} cannot write the registers of this processor, which has more of them (AMX) than it knows; install gdb 14 or later`,
		);
	const said = trial.split("\n").findLast((line) => line.trim() !== "");
	return capability(`${named} could not write a register${said === undefined ? "" : `: ${said.trim()}`}`);
}

const WRITTEN = "it holds 51966";
const UNKNOWN_STATE = "Couldn't write extended state status";

/** Starts node itself, stops at its first instruction and writes a register. A failing -ex does not stop the following ones. */
const trialArguments: readonly string[] = [
	...["-nx", "-q", "-batch", "-ex", "set startup-with-shell off", "-ex", "starti"],
	...["-ex", "set var $xmm0.v4_int32[0] = 51966", "-ex", 'printf "it holds %d\\n", $xmm0.v4_int32[0]'],
	process.execPath,
];

/** All that it writes, whatever its status; it is killed when it takes too long. */
const run = (program: string, args: readonly string[]): Promise<string> =>
	new Promise((done) => {
		execFile(program, args, options, (_, stdout, stderr) => done(`${stdout}${stderr}`)).stdin?.end();
	});

/** Half a minute. */
const options: ExecFileOptions = { timeout: 30_000, killSignal: "SIGKILL", env: { ...process.env, LC_ALL: "C" } };
