/** Why the demo could not show what it is to show; `retry` says what is worth one. */
export class Stop extends Error {
	constructor(message, retry) {
		super(message);
		this.retry = retry;
	}
}
