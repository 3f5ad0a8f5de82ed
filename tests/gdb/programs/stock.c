/*
 * A heap corruption as they happen: a label is made one digit too long for its buffer, and much
 * later free() finds what lies behind it broken.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct item {
	char *label;
	int count;
	struct item *next;
};

static struct item *stock;

/* "name-number": names of up to sixteen letters, numbers of up to six digits. */
static char *make_label(const char *name, int number)
{
	char *label = malloc(16 + 1 + 6 + 1);

	sprintf(label, "%s-%06d", name, number);
	return label;
}

static void add(const char *name, int number, int count)
{
	struct item *item;
	char *label = make_label("draft", 0);

	item = malloc(sizeof(*item));
	free(label);
	item->label = make_label(name, number);
	item->count = count;
	item->next = stock;
	stock = item;
}

static int sell_all(void)
{
	int sold = 0;

	while (stock) {
		struct item *item = stock;
		stock = item->next;
		sold += item->count;
		free(item->label);
		free(item);
	}
	return sold;
}

int main(void)
{
	static const char *const names[] = {"bolts", "washers", "hexagonalscrews", "nuts"};

	for (int i = 0; i < 4; i++)
		add(names[i], i == 2 ? 123456789 : i, i * 100);
	printf("sold %d\n", sell_all());
	return 0;
}
