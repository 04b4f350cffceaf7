/* io_destroy while another thread is inside an io_submit that reads from an
 * empty pipe. The kernel's io_submit sits there and io_destroy waits for it;
 * aio-rs' io_submit is back long since. On both io_submit answers 1, io_destroy
 * 0, nothing hangs, and the byte that comes late is not lost. */
#include "life.h"

static io_context_t ctx;
static int p[2];
static char byte;
static volatile pid_t tid;
static volatile int submitted, destroying;

static void *submitter(void *arg)
{
	static struct iocb cb;

	(void)arg;
	tid = gettid();
	io_prep_pread(&cb, p[0], &byte, 1, 0);
	submitted = submit1(ctx, &cb) == 1 ? 1 : -1;
	return NULL;
}
static void *writer(void *arg)
{
	(void)arg;
	MUST(wait_flag(&destroying, 1));
	usleep(200000);
	MUST(write(p[1], "x", 1) == 1);
	return NULL;
}

int main(void)
{
	struct pollfd pfd;
	pthread_t s, w;
	char late = 0;

	MUST(pipe2(p, O_CLOEXEC) == 0 && io_setup(8, &ctx) == 0);
	pfd = (struct pollfd){ .fd = p[0], .events = POLLIN };
	MUST(pthread_create(&s, NULL, submitter, NULL) == 0);
	MUST(pthread_create(&w, NULL, writer, NULL) == 0);
	MUST(wait_flag(&tid, 1));
	if (on_ours())
		MUST(wait_flag(&submitted, 1));
	else
		MUST(wait_asleep(tid));
	expect_differs("8/12", "io_submit blocks on the pipe", submitted, 0, 1);

	long from = now_ms();
	destroying = 1;
	expect("8/12", "io_destroy", io_destroy(ctx), 0);
	if (on_ours())
		expect_between("8/12", "time it takes (ms)", now_ms() - from, 0, 9000);
	else
		expect_between("8/12", "time it takes (ms)", now_ms() - from, 199, 9000);
	pthread_join(w, NULL);
	expect("8/12", "io_submit returned", wait_flag(&submitted, 1) ? submitted : 0, 1);
	pthread_join(s, NULL);

	/* Read by the request, or still in the pipe if that was cancelled. */
	if (poll(&pfd, 1, 0) == 1)
		MUST(read(p[0], &late, 1) == 1);
	expect("8/12", "places where the byte is", (byte == 'x') + (late == 'x'), 1);
	expect("8/12", "the request read it", on_ours() || byte == 'x', 1);
	return check_done();
}
