#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/work/work.h"

static uint64_t bits_of(double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

static void multiply(uint64_t n, const double *a, const double *b, double *ret_c)
{
	for (uint64_t i = 0; i < n; i++) {
		for (uint64_t j = 0; j < n; j++) {
			double sum = 0;
			for (uint64_t k = 0; k < n; k++)
				sum += a[i * n + k] * b[k * n + j];
			ret_c[i * n + j] = sum;
		}
	}
}

/* n is the order of two matrices of doubles that are multiplied: n^3 multiplications and additions.
 */
int work_matrix(uint64_t n, uint64_t *ret_result)
{
	double *a = calloc(3 * n * n, sizeof(*a));
	double trace = 0;

	if (!a)
		return -ENOMEM;
	double *b = a + n * n, *c = b + n * n;
	for (uint64_t i = 0; i < n * n; i++) {
		a[i] = 1.0 / (double)(i + 1);
		b[i] = (double)(i % 17) - 8.0;
	}
	multiply(n, a, b, c);
	for (uint64_t i = 0; i < n; i++)
		trace += c[i * n + i];
	free(a);
	*ret_result = bits_of(trace);
	return 0;
}

#define BODIES 5
#define STEP   0.001

struct body {
	double position[3], velocity[3], mass;
};

static void place(struct body bodies[BODIES])
{
	for (int i = 0; i < BODIES; i++) {
		bodies[i] = (struct body){
			.position = {1.0 + 2.5 * i, 0.75 * (i & 1), 0.25 * i},
			.velocity = {0.1 * (i & 1), 0.6 - 0.15 * i, 0.01 * i},
			.mass = i ? 0.01 * i : 10.0,
		};
	}
}

/* Newton's attraction between two bodies changes the velocity of both. */
static void attract(struct body *a, struct body *b)
{
	double d[3], square = 0;

	for (int k = 0; k < 3; k++) {
		d[k] = a->position[k] - b->position[k];
		square += d[k] * d[k];
	}
	double pull = STEP / (square * sqrt(square));
	for (int k = 0; k < 3; k++) {
		a->velocity[k] -= d[k] * b->mass * pull;
		b->velocity[k] += d[k] * a->mass * pull;
	}
}

/* A turn: one time step of five bodies that attract each other, in three dimensions. */
int work_bodies(uint64_t n, uint64_t *ret_result)
{
	struct body bodies[BODIES];
	double sum = 0;

	place(bodies);
	while (n--) {
		for (int i = 0; i < BODIES; i++) {
			for (int j = i + 1; j < BODIES; j++)
				attract(&bodies[i], &bodies[j]);
		}
		for (int i = 0; i < BODIES; i++) {
			for (int k = 0; k < 3; k++)
				bodies[i].position[k] += STEP * bodies[i].velocity[k];
		}
	}
	for (int i = 0; i < BODIES; i++)
		sum += bodies[i].position[0] + bodies[i].velocity[1];
	*ret_result = bits_of(sum);
	return 0;
}
