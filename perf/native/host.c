/* Runs one engine for `quintile-perf peers`, which starts this program once for each engine and model.

       host ROWS FEATURES [what the engine wants]

   Answers "ready" on standard output. Then, for each line "FIRST COUNT PER_CALL" on standard input: lays those rows out,
   warms up on others, runs, and answers the nanoseconds as one double and the margins as COUNT doubles, binary. */

#include "engine.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { WARM_ROWS = 256 };

void fail(const char *format, ...) {
    va_list values;
    va_start(values, format);
    vfprintf(stderr, format, values);
    va_end(values);
    fputc('\n', stderr);
    exit(1);
}

void *allocate(size_t bytes) {
    void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!memory) fail("out of memory");
    return memory;
}

static struct rows map_rows(const char *path, size_t features) {
    struct stat facts;
    int file = open(path, O_RDONLY);
    if (file < 0 || fstat(file, &facts)) fail("cannot open %s", path);
    size_t count = (size_t)facts.st_size / sizeof(float) / features;
    const float *values = mmap(NULL, (size_t)facts.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
    if (values == MAP_FAILED || !count) fail("cannot map %s", path);
    return (struct rows){values, count, features};
}

/* Time that this process has had, all its threads together: what neighbours take from a long turn and not from a short one
   must not count. Nothing here sleeps, so on a quiet machine it is the time that passes. */
static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

int host_main(int count, char **arguments) {
    if (count < 3) fail("usage: %s ROWS FEATURES ...", arguments[0]);
    /* What a library prints must not end up among the answers. */
    FILE *reply = fdopen(dup(STDOUT_FILENO), "w");
    if (!reply || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) fail("cannot redirect standard output");
    struct rows rows = map_rows(arguments[1], strtoul(arguments[2], NULL, 10));
    double *margins = allocate((rows.count + 1) * sizeof(double));
    engine_open(rows, count - 3, arguments + 3);
    fputs("ready\n", reply);
    fflush(reply);
    size_t first, turn, per_call;
    while (scanf("%zu %zu %zu", &first, &turn, &per_call) == 3) {
        if (!per_call || turn < per_call || turn % per_call || first + turn > rows.count) fail("no such rows");
        /* The caches are the last engine's; the rows that warm them are not those that are timed. */
        size_t warm = turn / 4 < WARM_ROWS ? turn / 4 : WARM_ROWS;
        if (warm < per_call) warm = per_call;
        size_t elsewhere = first >= warm ? first - warm : first + turn;
        if (elsewhere + warm <= rows.count) {
            engine_layout(elsewhere, warm, per_call);
            engine_run(margins);
        }
        engine_layout(first, turn, per_call);
        double start = now();
        engine_run(margins + 1);
        margins[0] = now() - start;
        fwrite(margins, sizeof(double), turn + 1, reply);
        fflush(reply);
    }
    return 0;
}
