#include "tools/guest_environment.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/guest_secrets.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* What --clean-env leaves of the host's environment. */
static const char *const kept_variables[] = {"PATH", "HOME", "LANG", "LC_ALL", "TERM", "TZ"};

/* ---- lists ---- */

/* Takes over the string; NULL: there was no memory for it. */
static int append(char ***list, char *string)
{
	size_t n = 0;

	if (!string)
		return -ENOMEM;
	while ((*list)[n])
		n++;
	char **grown = realloc(*list, (n + 2) * sizeof(char *));
	if (!grown) {
		free(string);
		return -ENOMEM;
	}
	grown[n] = string;
	grown[n + 1] = NULL;
	*list = grown;
	return 0;
}

static void destroy(char **list)
{
	for (size_t i = 0; list && list[i]; i++)
		free(list[i]);
	free(list);
}

/* ---- names ---- */

static size_t name_bytes(const char *variable)
{
	return strcspn(variable, "=");
}

static bool same_name(const char *a, const char *b)
{
	return name_bytes(a) == name_bytes(b) && !strncmp(a, b, name_bytes(a));
}

static bool is_kept(const char *variable)
{
	for (size_t i = 0; i < LENGTH(kept_variables); i++)
		if (same_name(kept_variables[i], variable))
			return true;
	return false;
}

/* True when the user gives the variable a value of its own, or asks for it. */
static bool is_added(const struct option_list *added, const char *variable)
{
	for (unsigned i = 0; i < added->n; i++)
		if (same_name(added->item[i], variable))
			return true;
	return false;
}

/* The last of several values is the variable's. */
static bool is_added_again(const struct option_list *added, unsigned number)
{
	for (unsigned i = number + 1; i < added->n; i++)
		if (same_name(added->item[i], added->item[number]))
			return true;
	return false;
}

/* ---- choosing ---- */

static int give(struct guest_environment *environment, char *variable)
{
	char *shown = NULL;

	if (!variable)
		return -ENOMEM;
	if (!guest_secrets_is_variable(variable))
		shown = strdup(variable);
	else if (asprintf(&shown, "%.*s=***", (int)name_bytes(variable), variable) < 0)
		shown = NULL;
	int error = append(&environment->shown, shown);
	int given_error = append(&environment->given, variable);
	return error ? error : given_error;
}

static int choose(struct guest_environment *environment, const struct option_list *added,
		  bool clean, const char *variable)
{
	if (is_added(added, variable))
		return 0;
	if (guest_secrets_is_variable(variable))
		return append(&environment->withheld, strndup(variable, name_bytes(variable)));
	return clean && !is_kept(variable) ? 0 : give(environment, strdup(variable));
}

static int add(struct guest_environment *environment, const char *added)
{
	const char *value = strchr(added, '=') ? NULL : getenv(added);
	char *variable;

	if (strchr(added, '='))
		return give(environment, strdup(added));
	if (!value)
		return 0;
	return give(environment, asprintf(&variable, "%s=%s", added, value) < 0 ? NULL : variable);
}

int guest_environment_init(struct guest_environment *environment, const struct option_list *added,
			   bool clean)
{
	int error = 0;

	*environment = (struct guest_environment){
		.given = calloc(1, sizeof(char *)),
		.shown = calloc(1, sizeof(char *)),
		.withheld = calloc(1, sizeof(char *)),
	};
	if (!environment->given || !environment->shown || !environment->withheld)
		return -ENOMEM;
	for (char **variable = environ; *variable && !error; variable++)
		error = choose(environment, added, clean, *variable);
	for (unsigned i = 0; i < added->n && !error; i++)
		if (!is_added_again(added, i))
			error = add(environment, added->item[i]);
	return error;
}

void guest_environment_finish(struct guest_environment *environment)
{
	destroy(environment->given);
	destroy(environment->shown);
	destroy(environment->withheld);
	*environment = (struct guest_environment){0};
}
