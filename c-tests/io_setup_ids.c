/* Context ids and addresses: lowest free id, page-aligned, shared by threads and
 * by a child that shares the memory, not by a forked one. (1/19: the paragraph
 * "Ids and addresses" behind the table.) */
#include "ring_util.h"
#include <pthread.h>

#define MANY 300

static io_context_t ctx[MANY + 4];

static long id_of(io_context_t c)
{
	return ring_of(c)->id;
}

static void many(void)
{
	static const int holes[] = { 7, 3, 250 };
	static const int next[] = { 3, 7, 250, MANY };
	int in_order = 0, aligned = 0;

	for (int i = 0; i < MANY; i++) {
		ctx[i] = setup(1);
		in_order += id_of(ctx[i]) == i;
		aligned += (uintptr_t)ctx[i] % PAGE == 0;
	}
	expect("1/19", "300 contexts, ids 0, 1, 2 ...", in_order, MANY);
	expect("1/19", "page-aligned", aligned, MANY);
	for (int i = 0; i < 3; i++)
		expect("1/19", "io_destroy of one", io_destroy(ctx[holes[i]]), 0);
	for (int i = 0; i < 4; i++) {
		ctx[MANY] = setup(1);
		expect("1/19", "the next id is the lowest free", id_of(ctx[MANY]), next[i]);
	}
	expect_works("1/19", "context 299", ctx[299]);
	expect_works("1/19", "context 300", ctx[MANY]);
}

static io_context_t made;

static void *thread_setup(void *arg)
{
	made = setup(1);
	return arg;
}

static int clone_setup(void *arg)
{
	(void)arg;
	return io_setup(1, &made);
}

static void sharing(void)
{
	pthread_t t;
	char *stack = malloc(1 << 18);
	int status;
	pid_t pid;

	MUST(!pthread_create(&t, NULL, thread_setup, NULL) && !pthread_join(t, NULL));
	expect("1/19", "id made by a thread", id_of(made), MANY + 1);
	expect_works("1/19", "a thread's context, used by another", made);

	made = NULL;
	pid = clone(clone_setup, stack + (1 << 18), CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
	MUST(pid > 0 && waitpid(pid, &status, 0) == pid);
	expect("1/19", "io_setup in a CLONE_VM child", status, 0);
	expect("1/19", "its id", made ? id_of(made) : -1, MANY + 2);
	if (made)
		expect_works("1/19", "its context, used by the parent", made);
	free(stack);
}

static long first_id_of_child(void)
{
	return id_of(setup(1));
}

static long id_after_all_destroyed(void)
{
	io_context_t c[5];

	for (int i = 0; i < 5; i++)
		c[i] = setup(1);
	if (id_of(c[4]) != 4)
		return -1;
	for (int i = 0; i < 5; i++)
		if (io_destroy(c[i]))
			return -2;
	return id_of(setup(1));
}

/* A new context may get the address of one just destroyed; the old value then
 * names the new context. aio-rs need not reuse an address that soon. */
static long stale_value(void)
{
	for (int i = 0; i < 20; i++) {
		io_context_t old = setup(1), new;

		if (io_destroy(old))
			return -1;
		new = setup(1);
		if (new != old) {
			if (io_destroy(old) != -EINVAL || io_destroy(new))
				return -2;
			continue;
		}
		return io_destroy(old) == 0 && io_destroy(new) == -EINVAL;
	}
	return on_ours();
}

int main(void)
{
	many();
	sharing();
	expect("1/19", "first id in a forked child", in_child(first_id_of_child), 0);
	expect("1/19", "id after all were destroyed", in_child(id_after_all_destroyed), 0);
	expect("1/19", "a stale value names the new context", in_child(stale_value), 1);
	return check_done();
}
