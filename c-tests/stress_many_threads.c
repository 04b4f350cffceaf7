/* 8 threads submit to one context and 4 reap from it, a million operations
 * (argv[1] or AIO_TEST_OPS: another number). Nearly all are cached 512-byte
 * reads; about 2% complete later: O_DIRECT reads, FSYNC, polls that become
 * ready. Every operation carries its number, every sector read its own tag.
 * None may be lost or doubled, and at the end every slot must be back. */
#include "life.h"

#define SUBMITTERS 8
#define REAPERS 4
#define PER_THREAD 64	/* requests one submitter may have in flight */
#define BATCH 16
#define CONTEXT 256	/* fewer slots than requests: EAGAIN happens all the time */
#define FILE_SIZE (4UL << 20)
#define TAG 0x5afe000000000000ULL

enum kind { READ, DIRECT, SYNC, POLL, KINDS };
enum { FREE, TAKEN, IN_FLIGHT };
struct request {
	struct iocb cb;
	enum kind kind;
	int state, efd;
	long number;
	uint64_t sector;
	char *buf;
};

static io_context_t ctx;
static int cached_fd, direct_fd, sync_fd;
static struct request requests[SUBMITTERS * PER_THREAD];
static unsigned char *seen;	/* one byte an operation: how often its event came */
static long total, next_number, reaped, submitters_done;
static long stray, doubled, wrong_data, wrong_res, ran[KINDS];

static unsigned rnd(uint64_t *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned)(*state >> 33);
}

static void prepare(struct request *q, long number, unsigned r)
{
	unsigned dice = r % 1024;

	/* 1% O_DIRECT, 0.8% polls, 0.2% FSYNC. */
	q->kind = dice < 10 ? DIRECT : dice < 18 ? POLL : dice < 20 ? SYNC : READ;
	q->number = number;
	q->sector = r / 1024 % (FILE_SIZE / 512);
	if (q->kind == READ) {
		io_prep_pread(&q->cb, cached_fd, q->buf, 512, (long long)q->sector * 512);
	} else if (q->kind == DIRECT) {
		q->sector &= ~7ULL;
		io_prep_pread(&q->cb, direct_fd, q->buf, 4096, (long long)q->sector * 512);
	} else if (q->kind == SYNC) {
		io_prep_fsync(&q->cb, sync_fd);
	} else {
		io_prep_poll(&q->cb, q->efd, POLLIN);
	}
	q->cb.data = (void *)(uintptr_t)number;
	*(volatile uint64_t *)q->buf = 0;
}

static void *submitter(void *arg)
{
	struct request *mine = arg, *taken[BATCH];
	uint64_t state = (uint64_t)(mine - requests) + 1;
	struct iocb *list[BATCH];
	uint64_t one = 1;
	int scan = 0;

	for (;;) {
		/* Take up to BATCH free requests and numbers for them. */
		int want = 1 + (int)(rnd(&state) % BATCH), n = 0;
		for (int i = 0; i < PER_THREAD && n < want; i++) {
			struct request *q = &mine[scan++ % PER_THREAD];
			if (__atomic_load_n(&q->state, __ATOMIC_ACQUIRE) == FREE)
				taken[n++] = q;
		}
		if (n == 0) {
			sched_yield();
			continue;
		}
		long first = __atomic_fetch_add(&next_number, n, __ATOMIC_RELAXED);
		if (first >= total)
			break;
		n = first + n > total ? (int)(total - first) : n;
		for (int i = 0; i < n; i++) {
			prepare(taken[i], first + i, rnd(&state));
			__atomic_fetch_add(&ran[taken[i]->kind], 1, __ATOMIC_RELAXED);
			__atomic_store_n(&taken[i]->state, IN_FLIGHT, __ATOMIC_RELEASE);
			list[i] = &taken[i]->cb;
		}
		for (int done = 0; done < n;) {
			int r = io_submit(ctx, n - done, list + done);
			if (r == -EAGAIN) {
				sched_yield();
				continue;
			}
			if (r <= 0 || r > n - done)
				DIE("io_submit of %d answered %d", n - done, r);
			/* Only now do the polls become ready. */
			for (; r > 0; r--, done++)
				if (taken[done]->kind == POLL)
					MUST(write(taken[done]->efd, &one, 8) == 8);
		}
	}
	__atomic_fetch_add(&submitters_done, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void take(const struct io_event *ev)
{
	struct request *q = (struct request *)ev->obj, *end = requests + SUBMITTERS * PER_THREAD;
	long number = (long)(uintptr_t)ev->data;
	static const long want[KINDS] = { 512, 4096, 0, POLLIN };

	if (q < requests || q >= end || number >= next_number) {
		__atomic_fetch_add(&stray, 1, __ATOMIC_RELAXED);
		return;
	}
	if (__atomic_fetch_add(&seen[number], 1, __ATOMIC_RELAXED) != 0 || q->number != number ||
	    __atomic_load_n(&q->state, __ATOMIC_ACQUIRE) != IN_FLIGHT) {
		__atomic_fetch_add(&doubled, 1, __ATOMIC_RELAXED);
		return;
	}
	long res = q->kind == POLL ? (long)(ev->res & POLLIN) : (long)ev->res;
	if (res != want[q->kind] || ev->res2 != 0)
		__atomic_fetch_add(&wrong_res, 1, __ATOMIC_RELAXED);
	else if (q->kind <= DIRECT && tag_wrong(q->buf, (size_t)res, TAG, q->sector))
		__atomic_fetch_add(&wrong_data, 1, __ATOMIC_RELAXED);
	if (q->kind == POLL) {
		/* The event may come before write() has returned, but never
		 * before the counter is up. */
		uint64_t count;
		MUST(read(q->efd, &count, 8) == 8);
	}
	__atomic_store_n(&q->state, FREE, __ATOMIC_RELEASE);
	__atomic_fetch_add(&reaped, 1, __ATOMIC_RELAXED);
}

static void *reaper(void *arg)
{
	struct io_event ev[BATCH * 2];
	long min = (long)(uintptr_t)arg;	/* 0: poll; else wait for so many */
	long quiet_since = now_ms();

	while (__atomic_load_n(&submitters_done, __ATOMIC_ACQUIRE) < SUBMITTERS ||
	       __atomic_load_n(&reaped, __ATOMIC_RELAXED) < total) {
		int r = reap(ctx, min, BATCH * 2, ev, 20);
		if (r < 0) {
			__atomic_fetch_add(&stray, 1, __ATOMIC_RELAXED);
			break;
		}
		for (int i = 0; i < r; i++)
			take(&ev[i]);
		if (r > 0)
			quiet_since = now_ms();
		else if (now_ms() - quiet_since > 20000)
			DIE("no event for 20 s: %ld of %ld came", reaped, total);
		if (r == 0 && min == 0)
			usleep(200);
	}
	return NULL;
}

/* Slots got from CPU 0, then from all CPUs in turn. */
static void count_slots(io_context_t c, long *one_cpu, long *all_cpus)
{
	cpu_set_t old;

	MUST(sched_getaffinity(0, sizeof old, &old) == 0);
	*one_cpu = -1;
	*all_cpus = 0;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &old))
			continue;
		pin_cpu(cpu);
		long n = fill_slots(c);
		MUST(n >= 0);
		*one_cpu = *one_cpu < 0 ? n : *one_cpu;
		*all_cpus += n;
	}
	MUST(sched_setaffinity(0, sizeof old, &old) == 0);
	drain(c);
}

int main(int argc, char **argv)
{
	const char *ops = argc > 1 ? argv[1] : getenv("AIO_TEST_OPS");
	pthread_t s[SUBMITTERS], r[REAPERS];
	long lost = 0, used_cpu, used_all, fresh_cpu, fresh_all;
	io_context_t fresh = NULL;

	total = ops ? atol(ops) : 1000000;
	seen = page_alloc((size_t)total);
	cached_fd = tagged_file(FILE_SIZE, TAG);
	direct_fd = reopen(cached_fd, O_RDONLY | O_DIRECT);
	sync_fd = tagged_file(4096, TAG);
	MUST(direct_fd >= 0);
	MUST(io_setup(CONTEXT, &ctx) == 0);
	for (int i = 0; i < SUBMITTERS; i++) {
		for (int j = 0; j < PER_THREAD; j++) {
			struct request *q = &requests[i * PER_THREAD + j];
			q->buf = page_alloc(4096);
			q->efd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
			MUST(q->efd >= 0);
		}
		MUST(pthread_create(&s[i], NULL, submitter, &requests[i * PER_THREAD]) == 0);
	}
	for (int i = 0; i < REAPERS; i++)
		MUST(pthread_create(&r[i], NULL, reaper, (void *)(uintptr_t)(i * 2)) == 0);
	for (int i = 0; i < SUBMITTERS; i++)
		pthread_join(s[i], NULL);
	for (int i = 0; i < REAPERS; i++)
		pthread_join(r[i], NULL);
	for (long i = 0; i < total; i++)
		lost += seen[i] == 0;

	expect("2/22", "events lost", lost, 0);
	expect("2/22", "events doubled", doubled, 0);
	expect("2/22", "events of no request", stray, 0);
	expect("2/22", "wrong results", wrong_res, 0);
	expect("2/22", "wrong data", wrong_data, 0);
	expect_true("2/22", "all kinds of operation ran", ran[READ] && ran[DIRECT] && ran[SYNC] && ran[POLL]);
	expect("2/22", "events left in the ring", ring_count(ctx), 0);

	/* Each other CPU may keep up to 2 * batch - 1 slots to itself; from all
	 * CPUs together less than a batch may be out of reach. */
	long nr = ring_of(ctx)->nr, cpus = sysconf(_SC_NPROCESSORS_CONF);
	long batch = (nr - 1) / (4 * cpus) > 1 ? (nr - 1) / (4 * cpus) : 1;
	count_slots(ctx, &used_cpu, &used_all);
	MUST(io_setup(CONTEXT, &fresh) == 0);
	count_slots(fresh, &fresh_cpu, &fresh_all);
	expect("2/9", "slots of a fresh context from one CPU", fresh_cpu - (nr - 1) / batch * batch, 0);
	expect_between("2/22", "slots afterwards from one CPU", used_cpu,
		       fresh_cpu - (cpus - 1) * (2 * batch - 1), nr - 1);
	expect_between("2/22", "slots afterwards from all CPUs", used_all, nr - batch, nr - 1);
	expect("2/22", "io_destroy", io_destroy(ctx), 0);
	io_destroy(fresh);
	return check_done();
}
