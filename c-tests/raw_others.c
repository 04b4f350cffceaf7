/* All other system calls go on as they are: six arguments, results that look
 * like errors and are none, errors, and calls that change the process. */
#include "raw.h"
#include <sys/wait.h>

static void six_arguments(void)
{
	int fd = pattern_file(O_RDWR, 8192);
	char *p = (char *)syscall(SYS_mmap, NULL, 4096UL, PROT_READ, MAP_SHARED, fd, 4096L);
	char *q = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 4096);

	expect("15/6", "mmap of the second page", p != MAP_FAILED && p[1] == q[1] && !memcmp(p, q, 4096), 1);
	expect("15/6", "mmap of a bad offset", RAW(SYS_mmap, NULL, 4096UL, PROT_READ, MAP_SHARED, fd, 1L), -EINVAL);

	/* copy_file_range: the sixth is flags, which must be 0. */
	loff_t in = 0, out = 100;
	int to = temp_file(0);
	expect("15/6", "copy_file_range", RAW(SYS_copy_file_range, fd, &in, to, &out, 50UL, 0U), 50);
	expect("15/6", "it moved both offsets", in * 1000 + out, 50150);
	expect("15/6", "with a bad sixth argument", RAW(SYS_copy_file_range, fd, &in, to, &out, 50UL, 4U), -EINVAL);

	/* futex: the sixth is an operation and a comparison. */
	uint32_t a = 0, b = 7;
	uint32_t add_3_cmp_7 = FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 7);
	expect("15/6", "futex", RAW(SYS_futex, &a, FUTEX_WAKE_OP, 1, 1L, &b, add_3_cmp_7), 0);
	expect("15/6", "it added 3", b, 10);

	/* pselect6: the sixth is a mask and its size. */
	struct raw_sigset bad = { &a, 3 };
	expect("15/6", "pselect6", RAW(SYS_pselect6, 0, NULL, NULL, NULL, &at_once, NULL), 0);
	expect("15/6", "with a mask of 3 bytes", RAW(SYS_pselect6, 0, NULL, NULL, NULL, &at_once, &bad), -EINVAL);
	close(fd);
	close(to);
}

static void results(void)
{
	expect("15/6", "getpid", RAW(SYS_getpid) == getpid(), 1);
	expect("15/6", "a bad descriptor", RAW(SYS_close, -1), -EBADF);
	expect("15/6", "a bad pointer", RAW(SYS_uname, NULL), -EFAULT);
	expect("15/6", "no such call", RAW(100000L), -ENOSYS);
	expect("15/6", "nor -1", RAW(-1L), -ENOSYS);
	errno = 77;
	expect("15/6", "a failure is -1", syscall(SYS_close, -1), -1);
	expect("15/6", "and errno", errno, EBADF);
	/* Next to AIO's numbers on x86_64; elsewhere as good as any. */
	expect("15/6", "sched_getaffinity", RAW(SYS_sched_getaffinity, 0, 8UL, NULL), -EFAULT);
	char path[] = "/nowhere/at/all";
	expect("15/6", "truncate", RAW(SYS_truncate, path, 0L), -ENOENT);
	expect("15/6", "rseq of nothing", RAW(SYS_rseq, NULL, 0U, 0, 0U), -EINVAL);
	/* A position is no error however large; /proc/self/mem takes negative ones. */
	int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	expect("15/6", "lseek to -5000", syscall(SYS_lseek, mem, -5000L, SEEK_SET), -5000);
	close(mem);
}

static void processes(void)
{
	int status;
	/* As fork: no new stack. */
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0)
		syscall(SYS_exit_group, 33);
	MUST(waitpid(pid, &status, 0) == pid);
	expect("15/6", "clone and exit_group", WIFEXITED(status) ? WEXITSTATUS(status) : -1, 33);
	pid = fork();
	if (pid == 0) {
		char *argv[] = { "sh", "-c", "exit 34", NULL }, *envp[] = { NULL };
		syscall(SYS_execve, "/bin/sh", argv, envp);
		_exit(1);
	}
	MUST(waitpid(pid, &status, 0) == pid);
	expect("15/6", "execve", WIFEXITED(status) ? WEXITSTATUS(status) : -1, 34);
}

int main(void)
{
	six_arguments();
	results();
	processes();
	return check_done();
}
