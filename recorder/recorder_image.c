/* A saved state's machine that is loaded once, and forked for many recordings. */
#include <errno.h>
#include <stdlib.h>

#include "recorder/state.h"

struct recorder_image {
	struct machine *machine;
	struct log_reader *saved;
};

/* The platform's configuration says what the machine is like; nothing else is made. */
static int load(struct recorder *recorder)
{
	struct platform_config platform_config;
	struct digest digest;
	int error =
		world_init(&recorder->world, recorder->config, &recorder->chaos, &recorder->error);

	if (error)
		return error;
	world_platform_config(&recorder->world, recorder->config, &platform_config);
	error = recorder_create_machine(recorder, &platform_config);
	if (!error)
		error = recorder_load_memory(recorder);
	if (!error) /* what is hashed here need not be after each fork */
		machine_digest(recorder->machine, &digest);
	return error;
}

int recorder_image_load(const struct recorder_config *config, struct recorder_image **ret_image,
			struct log_error *ret_error)
{
	struct recorder_image *image = calloc(1, sizeof(*image));
	struct recorder *recorder = calloc(1, sizeof(*recorder));
	int error = -ENOMEM;

	*ret_error = (struct log_error){.code = -ENOMEM, .text = "no memory for the saved state"};
	if (image && recorder) {
		recorder->config = config;
		error = load(recorder);
		world_finish(&recorder->world);
		*image = (struct recorder_image){recorder->machine, recorder->saved};
		*ret_error = recorder->error;
	}
	free(recorder);
	if (error) {
		recorder_image_destroy(image);
		return error;
	}
	*ret_image = image;
	return 0;
}

void recorder_image_destroy(struct recorder_image *image)
{
	if (!image)
		return;
	machine_destroy(image->machine);
	log_reader_close(image->saved);
	free(image);
}

void recorder_take_image(struct recorder *recorder)
{
	struct recorder_image *image = recorder->config->image;

	recorder->machine = image->machine;
	recorder->saved = image->saved;
	*image = (struct recorder_image){0};
}
