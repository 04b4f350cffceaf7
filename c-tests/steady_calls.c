/* A program in its stride: no system call of io_submit or io_getevents asks whether
 * the program's memory is still there. aio-rs may ask about a page once in each tick
 * of the clock, and 32 times in each second; about its ring in every 256th call.
 *
 * A seccomp filter lets the calls pass that do the work, and aio-rs's questions
 * about descriptors, at full speed; all others come by the parent, which counts. */
#include "submit_util.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <linux/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define BATCH 32
#define MARK SYS_getppid /* made at the beginning, and at the end */

static io_context_t ctx;
static int fd, efd;
static char *pages, buf[BATCH][512];
static struct io_event *events;
static struct timespec *zero;

static struct iocb *iocb_at(int i)
{
	return (struct iocb *)(pages + i * PAGE / 4);
}

static int round_of(int op, int n)
{
	struct iocb *list[BATCH];

	for (int i = 0; i < n; i++) {
		list[i] = iocb_at(i);
		prep(list[i], op, fd, buf[i], sizeof buf[i], i * 512);
		list[i]->key = 0;
	}
	return io_submit(ctx, n, list) == n && io_getevents(ctx, n, BATCH, events, NULL) == n;
}

static int read_one(void)
{
	return round_of(IO_CMD_PREAD, 1);
}
static int read_batch(void)
{
	return round_of(IO_CMD_PREAD, BATCH);
}
static int write_one(void)
{
	return round_of(IO_CMD_PWRITE, 1);
}
static int read_vector(void)
{
	struct iovec *vec = (struct iovec *)(pages + 8 * PAGE);
	struct iocb *cb = iocb_at(0), *list[1] = { cb };
	eventfd_t n;

	vec[0] = (struct iovec){ buf[0], 512 };
	vec[1] = (struct iovec){ buf[1], 512 };
	prep(cb, IO_CMD_PREADV, fd, vec, 2, 0);
	cb->key = 0;
	io_set_eventfd(cb, efd);
	return io_submit(ctx, 1, list) == 1 && eventfd_read(efd, &n) == 0 && n == 1 &&
	       io_getevents(ctx, 1, 1, events, zero) == 1;
}
static int look(void)
{
	return io_getevents(ctx, 1, 1, events, zero) == 0;
}

#define END -1
#define OURS SYS_fcntl, SYS_statx, SYS_ppoll
/* The calls of the kernel's AIO, and of aio-rs; how many pages are in use, those of
 * the stack and the ring among them. */
static const struct work {
	const char *id, *name;
	int (*once)(void), times, used, kernel[4], ours[8];
} works[] = {
	{ "steady/1", "reads, one by one", read_one, 20000, 5,
	  { SYS_io_submit, SYS_io_getevents, END }, { SYS_preadv2, OURS, END } },
	{ "steady/2", "reads, 32 in a call", read_batch, 1000, 12,
	  { SYS_io_submit, SYS_io_getevents, END }, { SYS_preadv2, SYS_io_uring_enter, OURS, END } },
	{ "steady/3", "writes, one by one", write_one, 20000, 5,
	  { SYS_io_submit, SYS_io_getevents, END }, { SYS_pwritev2, OURS, END } },
	{ "steady/4", "reads by vectors, with an eventfd and a timeout", read_vector, 20000, 7,
	  { SYS_io_submit, SYS_io_getevents, SYS_read, END }, { SYS_preadv2, SYS_read, SYS_write, OURS, END } },
	{ "steady/5", "looks at an empty ring", look, 100000, 4, { END }, { END } },
};

static void only_traced(const int *pass)
{
	struct sock_filter code[20];
	unsigned short n = 0;

	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (; *pass != END; pass++) {
		code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)*pass, 0, 1);
		code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	}
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
	struct sock_fprog filter = { n, code };
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) == 0);
}

/* Shared with the parent. */
static struct {
	long good, ms;
} *did;

static void child(const struct work *w)
{
	ctx = new_ctx(2 * BATCH);
	for (int i = 0; i < 1000; i++)
		MUST(w->once());
	MUST(raise(SIGSTOP) == 0);
	only_traced(on_ours() ? w->ours : w->kernel);
	long began = now_ms();
	syscall(MARK);
	for (int i = 0; i < w->times; i++)
		did->good += w->once();
	syscall(MARK);
	did->ms = now_ms() - began;
	_exit(0);
}

/* Calls between the marks that the filter did not let pass; the first by number. */
static long count(pid_t pid, char *which, size_t room)
{
	long calls = 0, marks = 0;
	int status;

	*which = 0;
	MUST(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
	MUST(ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL) == 0);
	MUST(kill(pid, SIGCONT) == 0);
	while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
		int sig = WSTOPSIG(status), event = status >> 16;
		if (event == PTRACE_EVENT_SECCOMP) {
			struct __ptrace_syscall_info info;
			MUST(ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) > 0);
			if (info.seccomp.nr == MARK)
				marks++;
			else if (marks == 1 && calls++ < 20)
				snprintf(which + strlen(which), room - strlen(which), " %d", (int)info.seccomp.nr);
		}
		ptrace(PTRACE_CONT, pid, 0, event ? 0 : sig);
	}
	MUST(marks == 2 && WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return calls;
}

int main(void)
{
	fd = pattern_file(0, BATCH * 512);
	efd = eventfd(0, EFD_CLOEXEC);
	did = shared_alloc(sizeof *did);
	pages = mmap(NULL, 10 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(fd >= 0 && efd >= 0 && pages != MAP_FAILED);
	/* Each in a page of its own, but for the iocbs. */
	events = (struct io_event *)(pages + 9 * PAGE);
	zero = (struct timespec *)(pages + 9 * PAGE + PAGE / 2);

	for (size_t i = 0; i < sizeof works / sizeof *works; i++) {
		const struct work *w = &works[i];
		char label[96], which[256];
		long calls, most;

		/* A disk that is busy for others makes writes wait, and so go another
		 * way for a while: then once more. */
		for (int tries = 0; tries < 5; tries++) {
			memset(did, 0, sizeof *did);
			fflush(stdout);
			pid_t pid = fork();
			MUST(pid >= 0);
			if (!pid)
				child(w);
			calls = count(pid, which, sizeof which);
			/* What aio-rs may ask in that time. */
			long ticks = did->ms / 4 + 2, seconds = did->ms / 1000 + 2;
			most = on_ours() ? w->used * (ticks + 32 * seconds) + 2 * w->times / 256 : 0;
			fprintf(stderr, "%s: %ld calls of %ld in %ld ms:%s\n", w->name, calls, most, did->ms, which);
			if (did->good != w->times || calls <= most)
				break;
		}
		expect(w->id, w->name, did->good, w->times);
		snprintf(label, sizeof label, "%s: other calls", w->name);
		expect_between(w->id, label, calls, 0, most);
	}
	return check_done();
}
