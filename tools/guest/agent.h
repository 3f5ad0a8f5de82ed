/* What `reprise run` and the agent in its guest agree on, beside the channel. */
#ifndef REPRISE_TOOLS_GUEST_AGENT_H
#define REPRISE_TOOLS_GUEST_AGENT_H

/* The plan: strings, each ended by a zero byte, each with one of these letters in front. */
#define AGENT_PLAN        "/.reprise-plan"
#define AGENT_DIRECTORY   'd'  /* where the command starts; once */
#define AGENT_PROGRAM     'p'  /* the file that is executed; once */
#define AGENT_ARGUMENT    'a'  /* one for each, argv[0] first */
#define AGENT_ENVIRONMENT 'e'  /* NAME=VALUE, one for each */
#define AGENT_MAX_STRINGS 4096 /* of one letter */

/* Exit statuses that are not the command's own. */
#define AGENT_STATUS_FAILED         125
#define AGENT_STATUS_NOT_EXECUTABLE 126
#define AGENT_STATUS_NOT_FOUND      127

#endif
