/* virtio-blk over MMIO, polled: reads a sector, writes it to the next one, reads that back. */
#include "guest.h"

#define VIRTIO 0xd0000000u

struct descriptor {
	uint64_t address;
	uint32_t bytes;
	uint16_t flags, next;
};

static struct descriptor table[8] __attribute__((aligned(16)));
static volatile uint16_t avail[16] __attribute__((aligned(16)));
static volatile uint16_t used[64] __attribute__((aligned(16)));
static struct {
	uint32_t type, reserved;
	uint64_t sector;
} request;
static uint8_t data[512];
static volatile uint8_t status;
static uint32_t device;

static volatile uint32_t *reg(uint32_t offset)
{
	return (volatile uint32_t *)(device + offset);
}

static bool find_disk(void)
{
	for (device = VIRTIO; device < VIRTIO + 4 * 0x1000; device += 0x1000)
		if (*reg(0) == 0x74726976 && *reg(8) == 2)
			return true;
	return false;
}

/* virtio 1.2 section 3.1.1 */
static void set_up(void)
{
	*reg(0x70) = 0;
	*reg(0x70) = 1;
	*reg(0x70) = 3;
	*reg(0x24) = 0;
	*reg(0x20) = 0;
	*reg(0x24) = 1;
	*reg(0x20) = 1; /* VIRTIO_F_VERSION_1 */
	*reg(0x70) = 11;
	*reg(0x30) = 0;
	*reg(0x38) = 8;
	*reg(0x80) = (uint32_t)table;
	*reg(0x84) = 0;
	*reg(0x90) = (uint32_t)avail;
	*reg(0x94) = 0;
	*reg(0xa0) = (uint32_t)used;
	*reg(0xa4) = 0;
	*reg(0x44) = 1;
	*reg(0x70) = 15;
}

static void transfer(uint32_t type, uint64_t sector)
{
	uint16_t before = used[1];

	request.type = type;
	request.sector = sector;
	status = 0xff;
	table[0] = (struct descriptor){(uint32_t)&request, 16, 1, 1};
	table[1] = (struct descriptor){(uint32_t)data, 512, (uint16_t)(type ? 1 : 3), 2};
	table[2] = (struct descriptor){(uint32_t)&status, 1, 2, 0};
	avail[2 + avail[1] % 8] = 0;
	avail[1]++;
	*reg(0x50) = 0;
	while (used[1] == before)
		__asm__ volatile("pause");
	put_line("status", status);
}

void guest_main(void)
{
	if (!find_disk()) {
		put_text("no disk\n");
		return;
	}
	set_up();
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
