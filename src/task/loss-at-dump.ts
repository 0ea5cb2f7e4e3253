/** What of a process did not get into its images, in the words of that moment. */
export interface LossAtDump {
	readonly subject: string;
	readonly text: string;
}
