#include "tools/reprise.h"

int main(int argc, char **argv)
{
	return reprise_main(argc, argv);
}
