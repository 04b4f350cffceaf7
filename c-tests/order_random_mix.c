/* Random reads and writes of one file, in random groups, through two contexts
 * and two descriptors, none awaited: each read and the file at the end are as
 * if every operation had been done at its submission. */
#include "events.h"
#include "slowfs.h"

#define FILE_SIZE (2 << 20)
#define OPS 32

static io_context_t ctx[2];
static uint64_t seed = 88172645463325252ULL;

static unsigned rnd(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed >> 33) % n;
}

/* One round of OPS operations; `model` is what the file must hold. */
static void round_of(const int *fd, char *model, size_t max, int *bad_reads, int *bad_results)
{
	static struct iocb cb[OPS];
	static char *buf[OPS], *want[OPS];
	struct iocb *list[OPS];
	struct io_event ev[OPS];
	int n = 0, group = 0, in[2] = { 0, 0 };

	while (n < OPS) {
		int c = (int)rnd(2), first = n;
		for (group = 1 + (int)rnd(6); group && n < OPS; group--, n++) {
			size_t len = rnd(4) ? 1 + rnd(8192) : 1 + rnd((unsigned)max);
			size_t at = rnd(2) ? rnd(4) * 4096 : rnd((unsigned)(FILE_SIZE - len));
			if (!buf[n]) {
				buf[n] = malloc(1 << 20);
				want[n] = malloc(1 << 20);
			}
			if (rnd(2)) {
				memset(buf[n], (int)rnd(256), len);
				memcpy(model + at, buf[n], len);
				io_prep_pwrite(cb + n, fd[rnd(2)], buf[n], len, (long)at);
			} else {
				memset(buf[n], 0, len);
				memcpy(want[n], model + at, len);
				io_prep_pread(cb + n, fd[rnd(2)], buf[n], len, (long)at);
			}
			list[n] = cb + n;
		}
		MUST(io_submit(ctx[c], n - first, list + first) == n - first);
		in[c] += n - first;
	}
	for (int c = 0; c < 2; c++) {
		MUST(reap(ctx[c], in[c], OPS, ev, 20000) == in[c]);
		for (int i = 0; i < in[c]; i++)
			*bad_results += ev[i].res != ev[i].obj->u.c.nbytes || ev[i].res2;
	}
	for (int i = 0; i < OPS; i++)
		*bad_reads += cb[i].aio_lio_opcode == IO_CMD_PREAD && memcmp(buf[i], want[i], cb[i].u.c.nbytes);
}

static void mix(const char *where, const int *fd, int rounds, size_t max, int cold)
{
	char *model = malloc(FILE_SIZE), *back = malloc(FILE_SIZE), label[128];
	int bad_reads = 0, bad_results = 0, bad_files = 0;

	MUST(pread(fd[0], model, FILE_SIZE, 0) == FILE_SIZE);
	for (int r = 0; r < rounds; r++) {
		if (cold)
			MUST(!fdatasync(fd[0]) && !posix_fadvise(fd[0], 0, 0, POSIX_FADV_DONTNEED));
		round_of(fd, model, max, &bad_reads, &bad_results);
		MUST(pread(fd[0], back, FILE_SIZE, 0) == FILE_SIZE);
		bad_files += memcmp(back, model, FILE_SIZE) != 0;
	}
	snprintf(label, sizeof label, "%s: wrong reads", where);
	expect("3.10/0", label, bad_reads, 0);
	snprintf(label, sizeof label, "%s: wrong contents after a round", where);
	expect("3.10/0", label, bad_files, 0);
	snprintf(label, sizeof label, "%s: short or failed", where);
	expect("3.10/0", label, bad_results, 0);
	free(model);
	free(back);
}

int main(void)
{
	struct slowfs *s = slowfs_start(1, FILE_SIZE);
	int fd[2], slow[2];
	char path[32];

	fd[0] = pattern_file(O_RDWR, FILE_SIZE);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd[0]);
	fd[1] = open(path, O_RDWR | O_CLOEXEC);
	slow[0] = slowfs_open(s, 0, O_RDWR);
	slow[1] = slowfs_open(s, 0, O_RDWR);
	MUST(fd[0] >= 0 && fd[1] >= 0 && io_setup(64, ctx) == 0 && io_setup(64, ctx + 1) == 0);
	mix("cached", fd, 100, 1 << 20, 0);
	mix("not cached", fd, 30, 1 << 20, 1);
	mix("short operations", fd, 300, 4096, 0);
	slowfs_delay(s, SLOWFS_WRITE, 2);
	mix("slow device", slow, 6, 1 << 18, 0);
	MUST(io_destroy(ctx[0]) == 0 && io_destroy(ctx[1]) == 0);
	return check_done();
}
