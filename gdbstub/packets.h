/* The handlers of packets that do not stand in packets.c: as packet_fn says there. */
#ifndef REPRISE_GDBSTUB_PACKETS_H
#define REPRISE_GDBSTUB_PACKETS_H

#include "gdbstub/state.h"

/*
 * Handlers get what follows the packet's name, put their answer into stub->reply and return true;
 * false: there is no answer at all.
 */
typedef bool packet_fn(struct gdbstub *stub, struct cursor *cursor);

/* objects.c */
packet_fn packet_choose_thread, packet_thread_lives, packet_current_thread, packet_first_threads,
	packet_more_threads, packet_thread_local;
packet_fn packet_transfer_features, packet_transfer_threads, packet_transfer_auxv,
	packet_transfer_exec_file;

/* file_packets.c */
packet_fn packet_file_setfs, packet_file_open, packet_file_read, packet_file_status,
	packet_file_close, packet_file_link;

#endif
