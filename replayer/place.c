#include "replayer/place.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int place_save(const struct replayer *replayer, struct place *ret_place)
{
	const struct machine *machine = replayer->machine;
	int error;

	*ret_place = (struct place){
		.position = replayer->has_next ? replayer->next_position
					       : log_reader_position(replayer->reader),
		.proven_icount = replayer->divergence.proven_icount,
		.state_bytes = machine_state_bytes(machine),
	};
	error = replay_streams_create(log_reader_header(replayer->reader), NULL, NULL,
				      &ret_place->streams);
	if (error)
		return error;
	replay_streams_copy_state(ret_place->streams, replayer->streams);
	ret_place->state = malloc(ret_place->state_bytes);
	if (!ret_place->state)
		return -ENOMEM;
	machine_state_encode(machine, ret_place->state);
	return 0;
}

int place_restore(struct replayer *replayer, const struct place *place)
{
	int error = machine_state_decode(replayer->machine, place->state, place->state_bytes);

	if (error) {
		replayer->error = (struct log_error){.code = error};
		snprintf(replayer->error.text, sizeof(replayer->error.text),
			 "the saved state is of another machine");
		return error;
	}
	replay_streams_copy_state(replayer->streams, place->streams);
	replayer->has_next = false;
	replayer->log_ended = false;
	replayer->divergence.proven_icount = place->proven_icount;
	return log_reader_set_position(replayer->reader, place->position, &replayer->error);
}

void place_finish(struct place *place)
{
	replay_streams_destroy(place->streams);
	free(place->state);
}
