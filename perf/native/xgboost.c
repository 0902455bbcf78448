/* XGBoost's C API, in place: no DMatrix is built. Arguments: the model's file. */

#include "engine.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* From xgboost/c_api.h of 3.2.0, which the wheel leaves out. */
typedef void *BoosterHandle;
typedef uint64_t bst_ulong;
extern const char *XGBGetLastError(void);
extern int XGBoosterCreate(const void *const *matrices, bst_ulong count, BoosterHandle *out);
extern int XGBoosterLoadModel(BoosterHandle booster, const char *path);
extern int XGBoosterSetParam(BoosterHandle booster, const char *name, const char *value);
extern int XGBoosterPredictFromDense(BoosterHandle booster, const char *values, const char *config, void *proxy,
                                     const bst_ulong **shape, bst_ulong *dimensions, const float **result);

enum { TEXT = 160 };
static const char CONFIG[] =
    "{\"type\":1,\"training\":false,\"iteration_begin\":0,\"iteration_end\":0,\"strict_shape\":false,"
    "\"cache_id\":0,\"missing\":NaN}";

static struct rows rows;
static BoosterHandle booster;
static size_t calls, rows_a_call;
static char *texts;  /* what names each call's rows, TEXT bytes each: writing it is not the engine's work */

static void check(int code) {
    if (code) fail("XGBoost: %s", XGBGetLastError());
}

void engine_open(struct rows all, int count, char **arguments) {
    if (count != 1) fail("usage: ... MODEL");
    rows = all;
    check(XGBoosterCreate(NULL, 0, &booster));
    check(XGBoosterLoadModel(booster, arguments[0]));
    check(XGBoosterSetParam(booster, "nthread", "1"));
}

void engine_layout(size_t first, size_t count, size_t per_call) {
    calls = count / per_call;
    rows_a_call = per_call;
    free(texts);
    texts = allocate(calls * TEXT);
    for (size_t call = 0; call < calls; call++)
        snprintf(texts + call * TEXT, TEXT,
                 "{\"data\":[%zu,true],\"shape\":[%zu,%zu],\"typestr\":\"<f4\",\"version\":3}",
                 (size_t)(rows.values + (first + call * per_call) * rows.features), per_call, rows.features);
}

void engine_run(double *margins) {
    for (size_t call = 0; call < calls; call++) {
        const bst_ulong *shape;
        bst_ulong dimensions;
        const float *result;
        check(XGBoosterPredictFromDense(booster, texts + call * TEXT, CONFIG, NULL, &shape, &dimensions, &result));
        for (size_t row = 0; row < rows_a_call; row++) *margins++ = result[row];
    }
}
