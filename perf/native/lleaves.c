/* The function that lleaves compiles a LightGBM model into. Arguments: a shared library of its object file, once for one
   row a call (trees not in blocks) and once for batches (blocks of 34). */

#include "engine.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>

typedef void forest(const double *rows, double *results, int32_t first, int32_t end);

static struct rows rows;
static forest *single, *batch;
static size_t calls, rows_a_call;
static double *turn;

static forest *open_forest(const char *path) {
    void *library = dlopen(path, RTLD_NOW);
    if (!library) fail("%s", dlerror());
    forest *found = (forest *)dlsym(library, "forest_root");
    if (!found) fail("%s has no function forest_root", path);
    return found;
}

void engine_open(struct rows all, int count, char **arguments) {
    if (count != 2) fail("usage: ... SINGLE BATCH");
    rows = all;
    single = open_forest(arguments[0]);
    batch = open_forest(arguments[1]);
}

void engine_layout(size_t first, size_t count, size_t per_call) {
    size_t numbers = count * rows.features;
    calls = count / per_call;
    rows_a_call = per_call;
    free(turn);
    turn = allocate(numbers * sizeof *turn);
    for (size_t number = 0; number < numbers; number++) turn[number] = rows.values[first * rows.features + number];
}

void engine_run(double *margins) {
    forest *run = rows_a_call == 1 ? single : batch;
    for (size_t call = 0; call < calls; call++)
        run(turn + call * rows_a_call * rows.features, margins + call * rows_a_call, 0, (int32_t)rows_a_call);
}
