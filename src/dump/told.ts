import { type Finding, ofProcess } from "../finding.ts";

/** What is told of processes while they are dumped. */
export interface Told {
	report(pid: number, finding: Finding): void;
	/** As they were reported, by process id. */
	readonly by: ReadonlyMap<number, readonly Finding[]>;
	/** All, of several processes with their ids. */
	findings(several: boolean): readonly Finding[];
}

export function toldOf(): Told {
	const by = new Map<number, Finding[]>();
	return {
		by,
		report: (pid, finding) => {
			const own = by.get(pid) ?? [];
			own.push(finding);
			by.set(pid, own);
		},
		findings: (several) =>
			[...by].flatMap(([pid, own]) => (several ? own.map((finding) => ofProcess(finding, pid)) : own)),
	};
}
