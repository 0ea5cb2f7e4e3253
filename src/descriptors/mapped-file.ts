/** How a file looked that was mapped or open; what is absent is not checked. */
export interface MappedFile {
	readonly path: string;
	/** Bytes. */
	readonly size?: bigint;
	/** st_mode, type and permissions. */
	readonly mode?: number;
	/** Lower-case hex. */
	readonly buildId?: string;
}
