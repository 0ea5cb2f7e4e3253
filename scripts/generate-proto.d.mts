export interface ProtoSource {
	readonly name: string;
	readonly text: string;
}

export declare const schemaFile: URL;
export declare const readSources: () => readonly ProtoSource[];
export declare const digestOf: (sources: readonly ProtoSource[]) => string;
/** The text of src/criu/wire/generated/schema.ts. */
export declare const generate: (sources: readonly ProtoSource[]) => string;
