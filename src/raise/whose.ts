import { refuse } from "../errors.ts";
import type { Finding } from "../finding.ts";
import type { PartialTask } from "../forest/partial-task.ts";
import type { Credentials } from "../forest/task.ts";
import { authorsOf } from "../rights/authors.ts";
import { requireDonorOf } from "../rights/donor-rights.ts";
import { isAlone, primaryGroup } from "../rights/our-rights.ts";
import { type OurRights, privilegeOf } from "../rights/privilege.ts";
import { understandCredentials } from "../understand/credentials.ts";
import type { OpenedCore } from "./open-core.ts";
import type { RaiseOptions } from "./raise-options.ts";

/** Whose process it will be. */
export interface Whose {
	/** Of one that is made of the core alone, or of a donor that is not trusted. */
	readonly credentials: Credentials;
	/** As any of these its files may be opened. */
	readonly threads: readonly { readonly credentials: Credentials }[];
	readonly findings: readonly Finding[];
}

/**
 * Whose process will be made of a core and a donor, by who can have written them, and by who we are.
 *
 * @throws NecromancerError ERR_UNTRUSTED where it would have more rights than they, and that is not trusted.
 */
export function whoseIs(dead: PartialTask, core: OpenedCore, us: OurRights, options: RaiseOptions): Whose {
	const { shared } = authorsOf([core.writers], isAlone);
	const { trust = false, donor } = options;
	const { credentials, foreign, findings } = privilegeOf({
		...{ name: core.name, dead, core: core.owner },
		...{ shared, us, trust, primaryGroup },
	});
	if (foreign && !options.stopped && !trust)
		refuse("ERR_UNTRUSTED", {
			subject: core.name,
			finding: `is uid ${core.owner.uid}'s${shared ? ", though others can have written it" : ""}, and what it runs would have the rights of uid ${us.uid}, who raises it`,
			expectation: "expected a core of our own",
			remedy: "leave it stopped and look at it, or let it run with --trust",
		});
	if (options.donorImages !== undefined && !trust)
		requireDonorOf(credentials, {
			...options.donorImages,
			lends: donor ?? { memory: {} },
			us,
			runs: !options.stopped,
			alone: isAlone,
		});
	if (!trust || donor === undefined) return { credentials, threads: [{ credentials }], findings };
	const credentialsOf = understandCredentials(dead, donor, () => {});
	return {
		credentials,
		threads: donor.threads.map((thread) => ({ credentials: credentialsOf(thread.credentials) })),
		findings,
	};
}
