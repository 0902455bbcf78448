/* LightGBM's C API: its fast single-row call, and one call for a matrix. Arguments: the model's file. */

#include "engine.h"

#include <stdint.h>
#include <stdlib.h>

/* From LightGBM/c_api.h of 4.7.0, which the wheel leaves out. */
enum { FLOAT64 = 1, RAW_SCORE = 1, ROW_MAJOR = 1 };
typedef void *BoosterHandle, *FastConfigHandle;
extern const char *LGBM_GetLastError(void);
extern int LGBM_BoosterCreateFromModelfile(const char *path, int *iterations, BoosterHandle *out);
extern int LGBM_BoosterPredictForMatSingleRowFastInit(BoosterHandle booster, int type, int start, int iterations,
                                                      int data_type, int32_t columns, const char *parameters,
                                                      FastConfigHandle *out);
extern int LGBM_BoosterPredictForMatSingleRowFast(FastConfigHandle fast, const void *row, int64_t *length, double *result);
extern int LGBM_BoosterPredictForMat(BoosterHandle booster, const void *data, int data_type, int32_t rows, int32_t columns,
                                     int row_major, int type, int start, int iterations, const char *parameters,
                                     int64_t *length, double *result);

static const char PARAMETERS[] = "num_threads=1";

static struct rows rows;
static BoosterHandle booster;
static FastConfigHandle fast;
static size_t calls, rows_a_call;
static double *turn;

static void check(int code) {
    if (code) fail("LightGBM: %s", LGBM_GetLastError());
}

void engine_open(struct rows all, int count, char **arguments) {
    int iterations;
    if (count != 1) fail("usage: ... MODEL");
    rows = all;
    check(LGBM_BoosterCreateFromModelfile(arguments[0], &iterations, &booster));
    check(LGBM_BoosterPredictForMatSingleRowFastInit(booster, RAW_SCORE, 0, -1, FLOAT64, (int32_t)rows.features, PARAMETERS,
                                                     &fast));
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
    int64_t length;
    for (size_t call = 0; call < calls; call++) {
        const double *data = turn + call * rows_a_call * rows.features;
        if (rows_a_call == 1)
            check(LGBM_BoosterPredictForMatSingleRowFast(fast, data, &length, margins));
        else
            check(LGBM_BoosterPredictForMat(booster, data, FLOAT64, (int32_t)rows_a_call, (int32_t)rows.features, ROW_MAJOR,
                                            RAW_SCORE, 0, -1, PARAMETERS, &length, margins));
        margins += rows_a_call;
    }
}
