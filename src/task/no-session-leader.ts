import { caution, type Finding } from "../finding.ts";

/** criu restore refuses such images without being told that a shell's session is meant. */
export const noSessionLeader = (sid: number): Finding =>
	caution("session", `session ${sid}`, "the process is no session leader; restore it with --shell-job, from a shell");
