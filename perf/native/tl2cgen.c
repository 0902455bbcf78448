/* The functions that tl2cgen generates, called without its predictor: `predict` takes one row. It writes ranks over the
   row where thresholds are quantised, so each call gets a row of its own, laid out beforehand.

   Arguments: the compiled model, and "float" or "double" for its thresholds and leaves. */

#include "engine.h"

#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* As tl2cgen's header.h has them. */
union entry_float {
    int missing;
    float value;
    int rank;
};
union entry_double {
    int missing;
    double value;
    int rank;
};

static struct rows rows;
static void (*predict_float)(union entry_float *row, int margin, float *result);
static void (*predict_double)(union entry_double *row, int margin, double *result);
static size_t turn_rows;
static union entry_float *turn_float;
static union entry_double *turn_double;

void engine_open(struct rows all, int count, char **arguments) {
    if (count != 2) fail("usage: ... LIBRARY float|double");
    rows = all;
    void *library = dlopen(arguments[0], RTLD_NOW);
    if (!library) fail("%s", dlerror());
    void *predict = dlsym(library, "predict");
    if (!predict) fail("%s has no function predict", arguments[0]);
    if (strcmp(arguments[1], "float"))
        predict_double = predict;
    else
        predict_float = predict;
}

void engine_layout(size_t first, size_t count, size_t per_call) {
    (void)per_call;  /* a batch is a loop over its rows */
    size_t numbers = count * rows.features;
    const float *from = rows.values + first * rows.features;
    turn_rows = count;
    free(turn_float);
    free(turn_double);
    turn_float = NULL, turn_double = NULL;
    if (predict_float) {
        turn_float = allocate(numbers * sizeof *turn_float);
        for (size_t number = 0; number < numbers; number++)
            if (isnan(from[number]))
                turn_float[number].missing = -1;
            else
                turn_float[number].value = from[number];
    } else {
        turn_double = allocate(numbers * sizeof *turn_double);
        for (size_t number = 0; number < numbers; number++)
            if (isnan(from[number]))
                turn_double[number].missing = -1;
            else
                turn_double[number].value = from[number];
    }
}

void engine_run(double *margins) {
    for (size_t row = 0; row < turn_rows; row++) {
        if (predict_float) {
            float result = 0;  /* it adds to what is there */
            predict_float(turn_float + row * rows.features, 1, &result);
            margins[row] = result;
        } else {
            margins[row] = 0;
            predict_double(turn_double + row * rows.features, 1, margins + row);
        }
    }
}
