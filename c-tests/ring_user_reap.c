/* Reaping the way QEMU does: no look at magic, no io_getevents. The program reads
 * tail, copies the records, stores head; an eventfd on each request may tell it
 * when to look. Disk (O_DIRECT) and inline requests are mixed and go round the
 * ring several times; each must come back once, whole, and with its data.
 * (Contract: head moved by user space 2/17, range of both 2/11, eventfd 11/1.) */
#include "ring_util.h"
#include <sys/eventfd.h>
#include <sys/uio.h>

#define TOTAL 65536  /* at most; `total` is at least six rings of io_setup(1) */
#define DEPTH 96     /* requests at once: near the slots of the smallest ring */
#define DIRECT 4096  /* bytes of one disk request */
#define FILE_LEN (1 << 20)

struct request {
	struct iocb cb;
	struct iovec vec;
	long seq, len, offset;
	char *buf;
	int busy;
};

static struct request reqs[DEPTH];
static unsigned char done[TOTAL];
static long total;
static int direct_fd, cached_fd, efd;
static int use_eventfd;
static long completed, strange, early, wrapped;
static uint64_t signalled;

static char pattern(long at)
{
	return (char)(at * 7 + at / 256);
}

/* Every kind QEMU sends, and a plain read. */
static void prepare(struct request *r, long seq)
{
	long k = seq % 8;
	int fd = k % 2 ? cached_fd : direct_fd;

	r->seq = seq;
	r->busy = 1;
	r->len = k % 2 ? 16 + seq % 1000 : DIRECT;
	r->offset = k % 2 ? seq % 4000 : seq * 13 % (FILE_LEN / DIRECT) * DIRECT;
	if (k == 6) {
		r->len = 0;
		io_prep_fdsync(&r->cb, direct_fd);
	} else if (k == 5) {
		io_prep_pread(&r->cb, fd, r->buf, r->len, r->offset);
	} else {
		memset(r->buf, 0x55, r->len);
		r->vec = (struct iovec){ r->buf, r->len };
		if (k == 4) {
			/* what the file has there anyway */
			for (long i = 0; i < r->len; i++)
				r->buf[i] = pattern(r->offset + i);
			io_prep_pwritev(&r->cb, fd, &r->vec, 1, r->offset);
		} else {
			io_prep_preadv(&r->cb, fd, &r->vec, 1, r->offset);
		}
	}
	r->cb.data = (void *)(0x5000000L + seq);
	if (use_eventfd)
		io_set_eventfd(&r->cb, efd);
}

static int whole(struct request *r)
{
	for (long i = 0; i < r->len; i++)
		if (r->buf[i] != pattern(r->offset + i))
			return 0;
	return 1;
}

static void complete(const struct io_event *ev)
{
	struct request *r = (struct request *)ev->obj;

	completed++;
	if (r < reqs || r >= reqs + DEPTH || ev->obj != &r->cb || !r->busy ||
	    ev->data != (void *)(0x5000000L + r->seq) || ev->res2) {
		strange++;
		return;
	}
	if ((long)ev->res != r->len || !whole(r))
		strange++;
	done[r->seq]++;
	r->busy = 0;
}

/* All that is there, in one or two runs, each given back by its own head. */
static int reap_ring(struct user_ring *ring)
{
	unsigned head = ring->head, nr = ring->nr, tail;
	int n = 0;

	while ((tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE)) != head) {
		unsigned run = tail > head ? tail - head : nr - head;

		for (unsigned i = 0; i < run; i++)
			complete(&ring->events[head + i]);
		n += (int)run;
		wrapped += head + run == nr;
		head = (head + run) % nr;
		__atomic_store_n(&ring->head, head, __ATOMIC_RELEASE);
	}
	return n;
}

static void wait_and_reap(struct user_ring *ring)
{
	long end = now_ms() + 10000;
	uint64_t v;

	if (!use_eventfd) {
		while (!reap_ring(ring))
			if (now_ms() > end)
				DIE("no completion for 10 s, %ld so far", completed);
			else
				sched_yield();
		return;
	}
	struct pollfd p = { .fd = efd, .events = POLLIN };

	if (poll(&p, 1, 10000) != 1)
		DIE("no eventfd for 10 s, %ld completed so far", completed);
	if (read(efd, &v, 8) == 8)
		signalled += v;
	reap_ring(ring);
	/* an eventfd's count never runs ahead of what the ring shows */
	early += signalled > (uint64_t)completed;
}

static void submit_all(io_context_t ctx, struct iocb **list, int n)
{
	while (n) {
		int r = io_submit(ctx, n, list);

		/* all slots may be with completions not yet reaped, or not yet there */
		if (r == -EAGAIN)
			wait_and_reap(ring_of(ctx));
		else if (r < 1)
			DIE("io_submit = %d", r);
		else
			list += r, n -= r;
	}
}

static void run(const char *how, int with_eventfd, int most)
{
	io_context_t ctx = setup(1);
	struct user_ring *ring = ring_of(ctx);
	long lost = 0, doubled = 0, next = 0, want_wraps = total / ring->nr;
	char label[96];

	memset(done, 0, sizeof done);
	completed = strange = early = wrapped = 0;
	signalled = 0;
	use_eventfd = with_eventfd;
	while (next < total) {
		struct iocb *list[DEPTH];
		int n = 0, batch = 1 + (int)(next * 5 % most);

		for (int i = 0; i < DEPTH && n < batch && next < total; i++)
			if (!reqs[i].busy) {
				prepare(&reqs[i], next++);
				list[n++] = &reqs[i].cb;
			}
		if (n)
			submit_all(ctx, list, n);
		else
			wait_and_reap(ring);
	}
	while (completed < total)
		wait_and_reap(ring);
	/* a doubled one would come now */
	usleep(50000);
	reap_ring(ring);
	if (with_eventfd)
		signalled += (uint64_t)eventfd_collect(efd, total - (long)signalled);
	for (long i = 0; i < total; i++) {
		lost += !done[i];
		doubled += done[i] > 1;
	}
#define SAY(id, what, got, want)                                        \
	(snprintf(label, sizeof label, "%s: %s", how, what), expect(id, label, got, want))
	SAY("2/17", "completed", completed, total);
	SAY("2/17", "lost", lost, 0);
	SAY("2/17", "doubled", doubled, 0);
	SAY("2/17", "strange", strange, 0);
	SAY("2/11", "times round the ring", wrapped, want_wraps);
	SAY("2/11", "head at the end", ring->head, total % ring->nr);
	SAY("2/11", "tail at the end", ring->tail, total % ring->nr);
	SAY("11/1", "sum of the eventfd", (long)signalled, with_eventfd ? total : 0);
	SAY("11/6", "eventfd before its event", early, 0);
	SAY("2/17", "io_destroy", io_destroy(ctx), 0);
}

int main(void)
{
	efd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	MUST(efd >= 0);
	total = 6 * want_nr(1) > 3000 ? 6 * want_nr(1) : 3000;
	MUST(total <= TOTAL);
	direct_fd = pattern_file(O_RDWR | O_DIRECT, FILE_LEN);
	if (direct_fd < 0)
		direct_fd = pattern_file(O_RDWR, FILE_LEN);
	cached_fd = pattern_file(O_RDWR, 65536);
	MUST(direct_fd >= 0 && cached_fd >= 0);
	for (int i = 0; i < DEPTH; i++)
		MUST(!posix_memalign((void **)&reqs[i].buf, 4096, DIRECT));

	run("no eventfd, one a call", 0, 1);
	run("eventfd, one a call", 1, 1);
	run("no eventfd, batches of 32", 0, 32);
	run("eventfd, batches of 32", 1, 32);
	run("eventfd, batches of 96", 1, DEPTH);
	return check_done();
}
