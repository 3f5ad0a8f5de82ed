/* Where the platform's devices and tables lie in the guest's address spaces. */
#ifndef REPRISE_VMM_DEVICES_LAYOUT_H
#define REPRISE_VMM_DEVICES_LAYOUT_H

/* RAM: [0, 640 KiB), [1 MiB, up to 3 GiB), [4 GiB, …). */
#define LAYOUT_LOW_RAM_END  0xa0000u
#define LAYOUT_VGA_GPA      0xa0000u /* unassigned up to LAYOUT_BIOS_GPA */
#define LAYOUT_BIOS_GPA     0xc0000u /* ROM region up to 1 MiB; ACPI tables lie in it */
#define LAYOUT_BIOS_BYTES   0x40000u
#define LAYOUT_ACPI_GPA     0xe0000u
#define LAYOUT_HIGH_RAM_GPA 0x100000u
#define LAYOUT_RAM_HOLE_GPA 0xc0000000u /* RAM below 4 GiB ends here at the latest */
#define LAYOUT_ABOVE_4G_GPA 0x100000000ull

#define LAYOUT_VIRTIO_GPA   0xd0000000u /* device n at + n * LAYOUT_VIRTIO_BYTES */
#define LAYOUT_VIRTIO_BYTES 0x1000u
#define LAYOUT_VIRTIO_MAX   16
#define LAYOUT_IOAPIC_GPA   0xfec00000u
#define LAYOUT_LAPIC_GPA    0xfee00000u

#define LAYOUT_PIC_MASTER_PORT  0x20
#define LAYOUT_PIT_PORT         0x40 /* 4 ports */
#define LAYOUT_KBD_DATA_PORT    0x60
#define LAYOUT_PORT_B           0x61 /* PIT channel 2 gate, speaker */
#define LAYOUT_KBD_COMMAND_PORT 0x64
#define LAYOUT_RTC_PORT         0x70 /* 2 ports */
#define LAYOUT_PORT_A           0x92 /* fast A20 and reset */
#define LAYOUT_PIC_SLAVE_PORT   0xa0
#define LAYOUT_UART1_PORT       0x2f8 /* ttyS1 */
#define LAYOUT_UART0_PORT       0x3f8 /* ttyS0 */
#define LAYOUT_PIC_ELCR_PORT    0x4d0 /* 2 ports */
#define LAYOUT_ACPI_PM_PORT     0x600 /* event block 4, control block 2, timer 4: see acpi_pm.h */
#define LAYOUT_ACPI_RESET_PORT  0xcf9

/*
 * The channel device: byte streams between guest and host for `reprise run`, by plain port I/O so
 * that a guest needs no driver: one port each, see channel.h.
 */
#define LAYOUT_CHANNEL_PORT 0x510 /* 8 ports */

#define LAYOUT_IRQ_PIT          0 /* IOAPIC pin 2, by an ACPI override */
#define LAYOUT_IRQ_UART1        3
#define LAYOUT_IRQ_UART0        4
#define LAYOUT_IRQ_RTC          8
#define LAYOUT_IRQ_SCI          9
#define LAYOUT_IRQ_VIRTIO       16 /* device n: pin 16 + n % 8, level, active high */
#define LAYOUT_IRQ_VIRTIO_COUNT 8

#endif
