#include "engine.h"

int main(int count, char **arguments) { return host_main(count, arguments); }
