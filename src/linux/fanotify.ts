/** What a group is made with (fanotify_init(2); include/uapi/linux/fanotify.h, Linux 6.18). */
export const FAN = { CLOEXEC: 0x1, NONBLOCK: 0x2, CLASS_CONTENT: 0x4, CLASS_PRE_CONTENT: 0x8 };

/** What makes its events name files by handles: FID, DIR_FID, NAME, TARGET_FID, MNT of FAN_REPORT_. */
export const FAN_REPORT_HANDLES = 0x200 | 0x400 | 0x800 | 0x1000 | 0x4000;

/** How a mark is made (fanotify_mark(2)). */
export const FAN_MARK = {
	...{ ADD: 0x1, MOUNT: 0x10, IGNORED_MASK: 0x20, IGNORED_SURV_MODIFY: 0x40, EVICTABLE: 0x200, IGNORE: 0x400 },
};

/** Events that wait for an answer: OPEN_PERM, ACCESS_PERM, OPEN_EXEC_PERM and PRE_ACCESS of FAN_. */
export const FAN_PERMISSIONS = 0x1_0000 | 0x2_0000 | 0x4_0000 | 0x10_0000;
