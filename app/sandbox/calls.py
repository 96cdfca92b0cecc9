"""System calls by what becomes of them in a guest, with their numbers on x86_64 and aarch64.

What a diagnosis makes was recorded with strace on Keras 3 and Keras 2, training, compiled graphs, exported models,
tables, archives, tf.data and many threads: 44 calls. They are here with their nearest relations, which another version
of a library may take in their place. Not among them, though a library could live with them: whatever changes a file's
mode, owner, times or attributes, because Landlock does not look at that, and whatever names another process.
"""

from __future__ import annotations

Numbers = dict[str, tuple[int | None, int | None]]
"""A call's name and its numbers; None where the architecture has no such call."""

ALLOWED: Numbers = {
    # Files, within what Landlock lets through.
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "lseek": (8, 62), "pread64": (17, 67), "pwrite64": (18, 68),
    "readv": (19, 65), "writev": (20, 66), "preadv": (295, 69), "pwritev": (296, 70), "preadv2": (327, 286),
    "pwritev2": (328, 287), "open": (2, None), "creat": (85, None), "openat": (257, 56), "openat2": (437, 437),
    "close_range": (436, 436), "fstat": (5, 80), "stat": (4, None), "lstat": (6, None), "newfstatat": (262, 79),
    "statx": (332, 291), "statfs": (137, 43), "fstatfs": (138, 44), "access": (21, None), "faccessat": (269, 48),
    "faccessat2": (439, 439), "readlink": (89, None), "readlinkat": (267, 78), "getdents": (78, None),
    "getdents64": (217, 61), "getcwd": (79, 17), "chdir": (80, 49), "fchdir": (81, 50), "mkdir": (83, None),
    "mkdirat": (258, 34), "rmdir": (84, None), "unlink": (87, None), "unlinkat": (263, 35), "rename": (82, None),
    "renameat": (264, 38), "renameat2": (316, 276), "symlink": (88, None), "symlinkat": (266, 36),
    "ftruncate": (77, 46), "fallocate": (285, 47), "fsync": (74, 82), "fdatasync": (75, 83),
    "sync_file_range": (277, 84), "fadvise64": (221, 223), "readahead": (187, 213), "copy_file_range": (326, 285),
    "sendfile": (40, 71), "flock": (73, 32), "dup": (32, 23), "dup2": (33, None), "dup3": (292, 24),
    "pipe": (22, None), "pipe2": (293, 59), "umask": (95, 166),
    # Memory of its own.
    "mmap": (9, 222), "munmap": (11, 215), "mremap": (25, 216), "mprotect": (10, 226), "madvise": (28, 233),
    "brk": (12, 214), "msync": (26, 227), "mincore": (27, 232), "mlock": (149, 228), "munlock": (150, 229),
    "mbind": (237, 235), "get_mempolicy": (239, 236), "set_mempolicy": (238, 237), "membarrier": (324, 283),
    # Threads and how they wait for each other.
    "futex": (202, 98), "futex_waitv": (449, 449), "set_robust_list": (273, 99), "rseq": (334, 293),
    "set_tid_address": (218, 96), "exit": (60, 93), "exit_group": (231, 94), "restart_syscall": (219, 128),
    "gettid": (186, 178), "sched_yield": (24, 124), "sched_getaffinity": (204, 123), "sched_getparam": (143, 121),
    "sched_getscheduler": (145, 120), "sched_get_priority_max": (146, 125), "sched_get_priority_min": (147, 126),
    "getcpu": (309, 168), "arch_prctl": (158, None),
    # Time.
    "nanosleep": (35, 101), "clock_nanosleep": (230, 115), "clock_gettime": (228, 113), "clock_getres": (229, 114),
    "gettimeofday": (96, 169), "time": (201, None), "times": (100, 153), "getitimer": (36, 102),
    "setitimer": (38, 103), "alarm": (37, None), "timer_create": (222, 107), "timer_settime": (223, 110),
    "timer_gettime": (224, 108), "timer_getoverrun": (225, 109), "timer_delete": (226, 111),
    "timerfd_create": (283, 85), "timerfd_settime": (286, 86), "timerfd_gettime": (287, 87),
    # Signals to itself.
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "rt_sigtimedwait": (128, 137),
    "rt_sigpending": (127, 136), "rt_sigsuspend": (130, 133), "sigaltstack": (131, 132), "pause": (34, None),
    # Waiting, for itself or for children that it does not have.
    "poll": (7, None), "ppoll": (271, 73), "select": (23, None), "pselect6": (270, 72), "epoll_create": (213, None),
    "epoll_create1": (291, 20), "epoll_ctl": (233, 21), "epoll_wait": (232, None), "epoll_pwait": (281, 22),
    "epoll_pwait2": (441, 441), "eventfd": (284, None), "eventfd2": (290, 19), "wait4": (61, 260),
    "waitid": (247, 95),
    # Questions about itself and the machine.
    "getpid": (39, 172), "getppid": (110, 173), "getuid": (102, 174), "geteuid": (107, 175), "getgid": (104, 176),
    "getegid": (108, 177), "getresuid": (118, 148), "getresgid": (120, 150), "getgroups": (115, 158),
    "getpgrp": (111, None), "getpgid": (121, 155), "getsid": (124, 156), "getpriority": (140, 141),
    "getrlimit": (97, 163), "getrusage": (98, 165), "uname": (63, 160), "sysinfo": (99, 179), "getrandom": (318, 278),
}  # fmt: skip

KILLED: Numbers = {
    "execve": (59, 221), "execveat": (322, 281), "ptrace": (101, 117), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "pidfd_getfd": (438, 438), "process_madvise": (440, 440), "bpf": (321, 280),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "userfaultfd": (323, 282), "perf_event_open": (298, 241), "keyctl": (250, 219), "add_key": (248, 217),
    "request_key": (249, 218), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431),
    "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442), "setns": (308, 268),
    "unshare": (272, 97), "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105),
    "finit_module": (313, 273), "delete_module": (176, 106), "open_by_handle_at": (304, 265), "reboot": (169, 142),
    "swapon": (167, 224), "swapoff": (168, 225), "acct": (163, 89), "quotactl": (179, 60), "syslog": (103, 116),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171), "clock_adjtime": (305, 266),
    "sethostname": (170, 161), "setdomainname": (171, 162), "iopl": (172, None), "ioperm": (173, None),
    "modify_ldt": (154, None),
}  # fmt: skip
"""What no library tries by accident: programs, others' memory, the kernel's inside, the file system's shape."""

ONLY_ON_ITSELF: Numbers = {
    "kill": (62, 129), "tgkill": (234, 131), "rt_tgsigqueueinfo": (297, 240), "prlimit64": (302, 261),
}  # fmt: skip
"""Calls that aim at a process by their first argument."""

CLONE, CLONE3, PRCTL, FCNTL, IOCTL = (56, 220), (435, 435), (157, 167), (72, 25), (16, 29)
"""Calls whose arguments decide."""

LAST_KNOWN = 451
"""What is newer than the calls that were judged here does not exist, as on an older kernel: libraries expect that."""

THREAD, NAMESPACES = 0x10000, 0x7E020080
"""Flags of clone: a thread of this process; any new namespace."""

PRCTL_ALLOWED = (3, 15, 16, 23, 39, 42, 0x53564D41)
"""Names of threads and of memory, questions about itself. Not: who dies with whom, who may be traced."""

FCNTL_ALLOWED = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1031, 1032, 1034)
"""Copies, flags, locks, sizes of pipes. Not F_SETOWN and F_SETSIG, which send any signal to any process."""

IOCTL_ALLOWED = (0x5401, 0x541B, 0x5421, 0x5450, 0x5451)
"""Is it a terminal (TCGETS), how much can be read, blocking or not, closed by exec or not. Not TIOCSTI, which types
for the user.
"""

IOCTL_OF_NVIDIA, IOCTL_BITS = 0x4600, 0xFF00
"""The driver's requests carry the letter F. The requests of its unified memory are plain small numbers, two are not."""
IOCTL_OF_UNIFIED_MEMORY = (0x30000001, 0x30000002)
UNIFIED_MEMORY_BELOW = 0x1000
