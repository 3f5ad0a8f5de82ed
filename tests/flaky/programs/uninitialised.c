/* A field that is never set: 0 in memory fresh from the kernel, something else in memory that was
 * used before, which is the case when a name happens to be long. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct request {
	char name[24];
	long retries;
};

/* Looks at a file name for the process; now and then one takes a buffer of just that size. */
static void look_at_name(void)
{
	size_t n = getpid() % 50 == 49 ? sizeof(struct request) : 100;
	char *name = malloc(n);

	memset(name, 'x', n);
	free(name);
}

int main(void)
{
	look_at_name();
	struct request *request = malloc(sizeof(*request));
	strcpy(request->name, "request");
	printf("%ld retries\n", request->retries);
	if (request->retries)
		return 1;
	free(request);
	return 0;
}
