import { i32, i64, layout, u16, u32, u64 } from "../bytes/layout.ts";

/** Flags of shmget(2), semget(2) and msgget(2), and of calls that would wait (include/uapi/linux/ipc.h). */
export const IPC = { CREAT: 0o1000, EXCL: 0o2000, NOWAIT: 0o4000 } as const;

/** Commands of shmctl(2), semctl(2) and msgctl(2) (include/uapi/linux/ipc.h). */
export const IPC_RMID = 0;
export const IPC_SET = 1;

/** Flags of shmget(2) and shmat(2) (include/uapi/linux/shm.h); the size of huge pages is told as for mmap(2). */
export const SHM = { HUGETLB: 0o4000, RDONLY: 0o10000, RND: 0o20000, REMAP: 0o40000, EXEC: 0o100000 } as const;

/** What the kernel adds to the mode of a segment: it goes with its last attachment; its pages stay in memory. */
export const SHM_MODE = { DEST: 0o1000, LOCKED: 0o2000 } as const;

/** Commands of shmctl(2); STAT_ANY asks for no right to read (Linux 4.17). */
export const SHMCTL = { RMID: IPC_RMID, SET: IPC_SET, LOCK: 11, INFO: 14, STAT_ANY: 15 } as const;

/** Commands of semctl(2) (include/uapi/linux/sem.h). */
export const SEMCTL = { SET: IPC_SET, GETPID: 11, GETALL: 13, SETALL: 17, INFO: 19, STAT_ANY: 20 } as const;

/** Commands of msgctl(2) (include/uapi/linux/msg.h). */
export const MSGCTL = { SET: IPC_SET, INFO: 12, STAT_ANY: 13 } as const;

/** msgrcv(2): a copy of the message with that number in the queue, which keeps it (CONFIG_CHECKPOINT_RESTORE). */
export const MSG_COPY = 0o40000;

/** `struct ipc64_perm` (include/uapi/asm-generic/ipcbuf.h): 48 bytes. */
export const ipcPerm = layout("ipc64_perm", {
	...{ key: u32, uid: u32, gid: u32, cuid: u32, cgid: u32, mode: u32, seq: u16, __pad2: u16 },
	...{ __unused1: u64, __unused2: u64 },
});

/** `struct shmid64_ds` (include/uapi/asm-generic/shmbuf.h): 112 bytes. */
export const shmidDs = layout("shmid64_ds", {
	...{ shm_perm: ipcPerm, shm_segsz: u64, shm_atime: i64, shm_dtime: i64, shm_ctime: i64 },
	...{ shm_cpid: i32, shm_lpid: i32, shm_nattch: u64, __unused4: u64, __unused5: u64 },
});

/** `struct semid64_ds` (arch/x86/include/uapi/asm/sembuf.h): 104 bytes. */
export const semidDs = layout("semid64_ds", {
	...{ sem_perm: ipcPerm, sem_otime: i64, __unused1: u64, sem_ctime: i64, __unused2: u64 },
	...{ sem_nsems: u64, __unused3: u64, __unused4: u64 },
});

/** `struct msqid64_ds` (include/uapi/asm-generic/msgbuf.h): 120 bytes. */
export const msqidDs = layout("msqid64_ds", {
	...{ msg_perm: ipcPerm, msg_stime: i64, msg_rtime: i64, msg_ctime: i64 },
	...{ msg_cbytes: u64, msg_qnum: u64, msg_qbytes: u64, msg_lspid: i32, msg_lrpid: i32 },
	...{ __unused4: u64, __unused5: u64 },
});

/** The most of `struct shminfo64`, `seminfo` and `msginfo`, which the kernel fills where it is asked how many there are. */
export const IPC_INFO_SIZE = 72;

/** ULONG_MAX - (1UL << 24) */
const NO_BOUND = (1n << 64n) - 1n - (1n << 24n);

/**
 * Settings of an IPC namespace below /proc/sys, and what a new one has (include/uapi/linux/{shm,sem,msg}.h, ipc/mqueue.c). Whoever
 * opens them gets those of its own namespace.
 */
export const ipcSettings = {
	sem: { path: "kernel/sem", usual: [32000n, 1024000000n, 500n, 32000n] },
	msgmax: { path: "kernel/msgmax", usual: [8192n] },
	msgmnb: { path: "kernel/msgmnb", usual: [16384n] },
	msgmni: { path: "kernel/msgmni", usual: [32000n] },
	shmmax: { path: "kernel/shmmax", usual: [NO_BOUND] },
	shmall: { path: "kernel/shmall", usual: [NO_BOUND] },
	shmmni: { path: "kernel/shmmni", usual: [4096n] },
	shm_rmid_forced: { path: "kernel/shm_rmid_forced", usual: [0n] },
	queues_max: { path: "fs/mqueue/queues_max", usual: [256n] },
	msg_max: { path: "fs/mqueue/msg_max", usual: [10n] },
	msgsize_max: { path: "fs/mqueue/msgsize_max", usual: [8192n] },
	msg_default: { path: "fs/mqueue/msg_default", usual: [10n] },
	msgsize_default: { path: "fs/mqueue/msgsize_default", usual: [8192n] },
	shm_next_id: { path: "kernel/shm_next_id", usual: [-1n] },
	sem_next_id: { path: "kernel/sem_next_id", usual: [-1n] },
	msg_next_id: { path: "kernel/msg_next_id", usual: [-1n] },
} as const satisfies Readonly<Record<string, { readonly path: string; readonly usual: readonly bigint[] }>>;

export type IpcSetting = keyof typeof ipcSettings;

export const ipcSettingNames = Object.keys(ipcSettings) as readonly IpcSetting[];
