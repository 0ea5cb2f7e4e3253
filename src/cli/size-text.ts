const units = ["", "K", "M", "G", "T", "P", "E"];

/** Bytes for people, in powers of 1024: `0`, `512`, `4K`, `1.5M`, `132K`. One decimal below 10, rounded to nearest. */
export function sizeText(bytes: bigint): string {
	let unit = 0;
	for (let left = bytes; left >= 1024n && unit < units.length - 1; left >>= 10n) unit++;
	const one = 1n << BigInt(10 * unit);
	const tenths = (bytes * 10n + one / 2n) / one;
	if (tenths < 100n && tenths % 10n !== 0n) return `${tenths / 10n}.${tenths % 10n}${units[unit]}`;
	const whole = (bytes + one / 2n) / one;
	// 1023.6K rounds up into the next unit
	return whole === 1024n && unit < units.length - 1 ? `1${units[unit + 1]}` : `${whole}${units[unit]}`;
}
