import { IPC, MSG_COPY, MSGCTL, SEMCTL, SHM, SHMCTL } from "../linux/ipc.ts";
import { hasFlag, remedy, type SystemCallRows } from "./call-row.ts";
import { count, flags, hexadecimal, int, known, oneOf, pointer } from "./kinds.ts";

/** Permissions, and what is to be done about one that is there. */
const how = known((value) => {
	const bits = Number(value & 0xffff_ffffn);
	const words = Object.entries({ IPC_CREAT: IPC.CREAT, IPC_EXCL: IPC.EXCL }).filter(([, bit]) => (bits & bit) !== 0);
	const rest = bits & ~(IPC.CREAT | IPC.EXCL);
	return [...words.map(([name]) => name), `0${rest.toString(8)}`].join("|");
});

const semCommand = oneOf({
	...{ IPC_SET: SEMCTL.SET, GETPID: SEMCTL.GETPID, GETALL: SEMCTL.GETALL, SETALL: SEMCTL.SETALL },
	...{ SEM_INFO: SEMCTL.INFO, SEM_STAT_ANY: SEMCTL.STAT_ANY },
});
const shmCommand = oneOf({
	...{ IPC_RMID: SHMCTL.RMID, IPC_SET: SHMCTL.SET, SHM_LOCK: SHMCTL.LOCK },
	...{ SHM_INFO: SHMCTL.INFO, SHM_STAT_ANY: SHMCTL.STAT_ANY },
});

const ROOM = remedy("ENOSPC", "the namespace holds no more of them: this is a bug");

/** System V's shared memory, semaphores and message queues. */
export const ipcCalls = {
	msgctl: {
		args: [int, oneOf({ IPC_SET: MSGCTL.SET, MSG_INFO: MSGCTL.INFO, MSG_STAT_ANY: MSGCTL.STAT_ANY }), pointer],
		remedies: [remedy("EPERM", "needs CAP_SYS_ADMIN")],
	},
	msgget: { args: [hexadecimal, how], remedies: [ROOM] },
	msgrcv: { args: [int, pointer, count, int, flags({ IPC_NOWAIT: IPC.NOWAIT, MSG_COPY })] },
	msgsnd: { args: [int, pointer, count, flags({ IPC_NOWAIT: IPC.NOWAIT })] },
	semctl: { args: [int, int, semCommand, pointer], remedies: [remedy("EPERM", "needs CAP_SYS_ADMIN")] },
	semget: { args: [hexadecimal, int, how], remedies: [ROOM] },
	shmat: {
		args: [int, pointer, flags({ SHM_RDONLY: SHM.RDONLY, SHM_RND: SHM.RND, SHM_REMAP: SHM.REMAP, SHM_EXEC: SHM.EXEC })],
		returns: "address",
	},
	shmctl: {
		args: [int, shmCommand, pointer],
		remedies: [
			remedy("EPERM", "needs CAP_SYS_ADMIN, and CAP_IPC_LOCK to keep it in memory"),
			remedy("ENOMEM", "raise RLIMIT_MEMLOCK, or grant CAP_IPC_LOCK"),
		],
	},
	shmdt: { args: [pointer] },
	shmget: {
		args: [hexadecimal, count, how],
		remedies: [
			remedy("ENOMEM", "reserve huge pages of that size (vm.nr_hugepages)", hasFlag(2, SHM.HUGETLB)),
			remedy("EPERM", "needs CAP_IPC_LOCK for huge pages", hasFlag(2, SHM.HUGETLB)),
			ROOM,
		],
	},
} as const satisfies SystemCallRows;
