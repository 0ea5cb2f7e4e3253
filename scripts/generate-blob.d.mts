export interface BlobSource {
	readonly name: string;
	readonly text: string;
}

export interface BuiltBlob {
	readonly bytes: Buffer;
	readonly symbols: Readonly<Record<string, number>>;
}

export declare const blobFile: URL;
export declare const readBlobSources: () => readonly BlobSource[];
export declare const digestOfBlob: (sources: readonly BlobSource[]) => string;
/** `gcc 12.2.0`, or undefined where there is none. */
export declare const compilerName: () => string | undefined;
/** Compiles and links; throws an Error that says what may not be in a blob. */
export declare const buildBlob: (sources: readonly BlobSource[]) => BuiltBlob;
/** The checked content of a linked ELF file. */
export declare const contentOf: (elf: Buffer) => BuiltBlob;
/** The text of src/blob/generated/blob.ts. */
export declare const blobModule: (sources: readonly BlobSource[], blob: BuiltBlob, compiler: string) => string;
