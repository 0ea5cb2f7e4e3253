export function tableOf(figures: readonly object[]): string;
