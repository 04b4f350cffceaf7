/* deny_uring PROGRAM ARG...: runs it where io_uring is refused with EPERM, as
 * Docker's default seccomp profile does. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* io_uring_setup, _enter and _register have one number on all architectures
 * (but for alpha), and follow each other. */
#define FIRST 425
#define LAST 427

int main(int argc, char **argv)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, FIRST, 0, 2),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, LAST, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { sizeof code / sizeof code[0], code };

	if (argc < 2) {
		fprintf(stderr, "usage: %s PROGRAM ARG...\n", argv[0]);
		return 2;
	}
	/* Root may do without it, and a program's set-user-ID children stay so. */
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) &&
	    (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	     syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter))) {
		fprintf(stderr, "seccomp: %s\n", strerror(errno));
		return 2;
	}
	execvp(argv[1], argv + 1);
	fprintf(stderr, "%s: %s\n", argv[1], strerror(errno));
	return 127;
}
