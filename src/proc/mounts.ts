import { bytesFromText, textFromBytes } from "../bytes/text.ts";
import { kernelDevice } from "../linux/stat.ts";
import { textIn } from "./read.ts";
import type { Whose } from "./whose.ts";

/** A line of /proc/PID/mountinfo (proc_pid_mountinfo(5)). */
export interface Mount {
	readonly id: number;
	/** {@link kernelDevice} */
	readonly device: number;
	/** Where it is, from the root of the process. */
	readonly path: string;
}

/** The mounts that a process sees, the first first. */
export const readMounts = (whose: Whose): readonly Mount[] => parseMounts(textIn(whose, "mountinfo"));

export const parseMounts = (text: string): readonly Mount[] =>
	text.split("\n").flatMap((line) => {
		const [id = "", , device = "", , path = ""] = line.split(" ");
		const [, major, minor] = /^(\d+):(\d+)$/.exec(device) ?? [];
		if (major === undefined) return [];
		return [{ id: Number(id), device: kernelDevice(Number(major), Number(minor)), path: unescaped(path) }];
	});

/** Space, tab, newline and backslash are written in octal. */
const unescaped = (path: string): string =>
	textFromBytes(
		Buffer.from(
			Buffer.from(bytesFromText(path))
				.toString("latin1")
				.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))),
			"latin1",
		),
	);
