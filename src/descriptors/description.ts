/** What all open file descriptions have in common (open(2)). */
export interface DescriptionCommon {
	/** Descriptors with equal ids share one description: its offset, its flags. */
	readonly id: number;
	/** O_ flags, O_CLOEXEC aside. */
	readonly flags: number;
	/** Who gets SIGIO (fcntl(2), F_SETOWN_EX, F_SETSIG). Absent when nobody was ever named. */
	readonly owner?: SignalOwner;
}

export interface SignalOwner {
	/** F_OWNER_ number. */
	readonly type: number;
	/** A thread, process or process group; 0 for none. */
	readonly pid: number;
	/** Sent instead of SIGIO; 0 for SIGIO. */
	readonly signal: number;
}
