/* A program locks itself up after io_setup: a seccomp filter refuses io_uring,
 * for the calling thread or for all threads. Contexts go on working, those that
 * are made afterwards too. Each in a child. */
#include "slowfs.h"
#include "life.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

#define FIRST 425 /* io_uring_setup, _enter, _register */
#define LAST 427

static int refuse_io_uring(unsigned flags)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, FIRST, 0, 2),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, LAST, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { sizeof code / sizeof code[0], code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter);
}

static struct kit kit;

/* arg: the filter's flags; used: whether the context has worked before. */
static int locked_up(unsigned flags, int used)
{
	io_context_t ctx = NULL, later = NULL;

	MUST(io_setup(64, &ctx) == 0);
	if (used)
		MUST(kit_run(ctx, &kit) == 0);
	MUST(refuse_io_uring(flags) == 0);
	for (int i = 0; i < 5; i++) {
		long r = kit_run(ctx, &kit);

		if (r)
			return (int)r;
	}
	MUST(io_setup(64, &later) == 0);
	long r = kit_run(later, &kit);

	MUST(io_destroy(later) == 0 && io_destroy(ctx) == 0);
	return (int)r;
}

static int one(void *arg)
{
	long what = (long)arg;

	return locked_up(what & 1 ? SECCOMP_FILTER_FLAG_TSYNC : 0, (what & 2) != 0);
}

int main(void)
{
	static const char *const names[] = {
		"the calling thread, unused context", "all threads, unused context",
		"the calling thread, used context", "all threads, used context",
	};

	kit_open(&kit);
	for (long i = 0; i < 4; i++)
		expect("life/11", names[i], in_child(one, (void *)i), 0);
	kit_close(&kit);
	return check_done();
}
