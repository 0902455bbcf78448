/* What an engine's own file gives to host.c. One process holds one engine and one model.

   Rows are floats, NaN where missing. Before each turn `engine_layout` is told which rows come; it lays them out as the
   engine likes best, and that is not timed. `engine_run` is: it must hand `per_call` rows to each call of the engine. */

#ifndef ENGINE_H
#define ENGINE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The rows, all of them: `rows.values[row * rows.features + feature]`. */
struct rows {
    const float *values;
    size_t count, features;
};

/* Loads the model; `arguments` are the command line's after the engine-independent ones. Ends the process on failure. */
void engine_open(struct rows rows, int count, char **arguments);
/* Lays out `count` rows from `first` for calls of `per_call`; `count` is a multiple of it. */
void engine_layout(size_t first, size_t count, size_t per_call);
/* Scores what was laid out; one margin a row. */
void engine_run(double *margins);

/* Says why on standard error and ends the process. */
void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
/* malloc that does not fail, aligned to a cache line. */
void *allocate(size_t bytes);
/* The entry point; `main` calls it, and so does Python for an engine that lives in a Python extension. */
int host_main(int count, char **arguments);

#ifdef __cplusplus
}
#endif
#endif
