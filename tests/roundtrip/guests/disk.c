/* virtio-blk over MMIO, polled: reads a sector, writes it to the next one, reads that back. */
#include "virtio.h"

static struct queue queue;
static struct {
	uint32_t type, reserved;
	uint64_t sector;
} request;
static uint8_t data[512];
static volatile uint8_t status;

static void transfer(uint32_t type, uint64_t sector)
{
	request.type = type;
	request.sector = sector;
	status = 0xff;
	queue.table[0] = (struct descriptor){(uint32_t)&request, 0, 16, NEXT, 1};
	queue.table[1] = (struct descriptor){(uint32_t)data, 0, 512,
					     (uint16_t)(type ? NEXT : NEXT | WRITE), 2};
	queue.table[2] = (struct descriptor){(uint32_t)&status, 0, 1, WRITE, 0};
	virtio_do(&queue, 0);
	put_line("status", status);
}

void guest_main(void)
{
	if (!virtio_find(VIRTIO_BLOCK)) {
		put_text("no disk\n");
		return;
	}
	virtio_set_up(&queue, 1);
	transfer(0, 1);
	for (int i = 0; i < 16; i++)
		put_char((char)data[i]);
	put_char('\n');
	data[0] = '#';
	transfer(1, 2);
	data[0] = 0;
	transfer(0, 2);
	put_char((char)data[0]);
	put_text("\ndisk done\n");
}
