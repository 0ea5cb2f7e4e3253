export interface ShowOptions {
	readonly json: boolean;
	/** All registers, all mappings, whole command lines. JSON has them anyway. */
	readonly verbose: boolean;
	/** Which process of an image directory; all of them without. */
	readonly pid?: number;
	/** Bytes, the most that a compressed core may unpack to. */
	readonly maxSize?: bigint;
}
