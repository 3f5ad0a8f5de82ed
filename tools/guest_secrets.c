#include "tools/guest_secrets.h"

#include <fnmatch.h>
#include <glob.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/message.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* Names of variables, whatever their case. */
static const char *const secret_variables[] = {
	"*TOKEN*",      "*SECRET*",      "*PASSWORD*",         "*PASSWD*",     "*PASSPHRASE*",
	"*CREDENTIAL*", "*API_KEY*",     "*APIKEY*",           "*ACCESS_KEY*", "*PRIVATE_KEY*",
	"*_PAT",        "SSH_AUTH_SOCK", "DOCKER_AUTH_CONFIG",
};

/* In the user's home. */
static const char *const secret_home_files[] = {
	".ssh",
	".gnupg",
	".aws",
	".azure",
	".kube",
	".netrc",
	".pgpass",
	".pypirc",
	".npmrc",
	".my.cnf",
	".vault-token",
	".git-credentials",
	".password-store",
	".docker/config.json",
	".m2/settings.xml",
	".cargo/credentials",
	".cargo/credentials.toml",
	".gem/credentials",
	".config/gcloud",
	".config/gh",
	".config/git/credentials",
	".config/op",
	".config/google-chrome",
	".config/chromium",
	".local/share/keyrings",
	".mozilla",
	".thunderbird",
};

/* Patterns. */
static const char *const secret_files[] = {
	"/etc/shadow",
	"/etc/shadow-",
	"/etc/gshadow",
	"/etc/gshadow-",
	"/etc/ssh/ssh_host_*_key",
	"/etc/ssl/private",
	"/etc/krb5.keytab",
};

bool guest_secrets_is_variable(const char *variable)
{
	char name[256];
	size_t n = strcspn(variable, "=");

	if (n >= sizeof(name))
		return true;
	memcpy(name, variable, n);
	name[n] = 0;
	for (size_t i = 0; i < LENGTH(secret_variables); i++)
		if (!fnmatch(secret_variables[i], name, FNM_CASEFOLD))
			return true;
	return false;
}

/* ---- files ---- */

/* True when path is directory or lies in it. */
static bool is_within(const char *path, const char *directory)
{
	size_t n = strlen(directory);

	return !strncmp(path, directory, n) && (!path[n] || path[n] == '/' || n == 1);
}

/* What does not exist need not be denied. Returns false when there is no memory. */
static bool add(struct guest_secrets *secrets, const char *path)
{
	char *real = realpath(path, NULL);

	if (!real)
		return true;
	char **grown = realloc(secrets->path, (secrets->n + 1) * sizeof(char *));
	if (!grown) {
		free(real);
		return false;
	}
	secrets->path = grown;
	secrets->path[secrets->n++] = real;
	return true;
}

static bool add_home(struct guest_secrets *secrets, const char *home)
{
	char path[4096];
	bool ok = true;

	for (size_t i = 0; home && home[0] == '/' && i < LENGTH(secret_home_files) && ok; i++)
		if (snprintf(path, sizeof(path), "%s/%s", home, secret_home_files[i]) <
		    (int)sizeof(path))
			ok = add(secrets, path);
	return ok;
}

static bool add_patterns(struct guest_secrets *secrets)
{
	bool ok = true;

	for (size_t i = 0; i < LENGTH(secret_files) && ok; i++) {
		glob_t found;

		if (glob(secret_files[i], 0, NULL, &found))
			continue;
		for (size_t k = 0; k < found.gl_pathc && ok; k++)
			ok = add(secrets, found.gl_pathv[k]);
		globfree(&found);
	}
	return ok;
}

static bool add_usual(struct guest_secrets *secrets)
{
	const struct passwd *user = getpwuid(getuid());

	return add_home(secrets, getenv("HOME")) && add_home(secrets, user ? user->pw_dir : NULL) &&
	       add_patterns(secrets);
}

static bool add_all(struct guest_secrets *secrets, const struct option_list *deny)
{
	bool ok = add_usual(secrets);

	for (unsigned i = 0; i < deny->n && ok; i++)
		ok = add(secrets, deny->item[i]);
	return ok;
}

/* Returns STATUS_OK or STATUS_USAGE. */
static int allow_path(struct guest_secrets *secrets, const char *given, const char *path)
{
	unsigned kept = 0;
	int status = STATUS_OK;

	for (unsigned i = 0; i < secrets->n; i++) {
		if (is_within(secrets->path[i], path)) {
			free(secrets->path[i]);
			continue;
		}
		if (is_within(path, secrets->path[i])) {
			message("--allow %s: lies in %s; allow that", given, secrets->path[i]);
			status = STATUS_USAGE;
		}
		secrets->path[kept++] = secrets->path[i];
	}
	secrets->n = kept;
	return status;
}

int guest_secrets_find(const struct option_list *deny, const struct option_list *allow,
		       struct guest_secrets *ret_secrets)
{
	/* A slip of the user's must not give away what was to be kept. */
	int status = options_check_files("deny", deny, F_OK);

	*ret_secrets = (struct guest_secrets){0};
	if (status)
		return status;
	if (!add_all(ret_secrets, deny)) {
		message("no memory for the list of files that are denied");
		return STATUS_FAILED;
	}
	for (unsigned i = 0; i < allow->n && !status; i++) {
		char *real = realpath(allow->item[i], NULL);

		if (real)
			status = allow_path(ret_secrets, allow->item[i], real);
		free(real);
	}
	return status;
}

void guest_secrets_finish(struct guest_secrets *secrets)
{
	for (unsigned i = 0; i < secrets->n; i++)
		free(secrets->path[i]);
	free(secrets->path);
}
