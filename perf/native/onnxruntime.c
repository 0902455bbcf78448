/* ONNX Runtime's C API, with input and output tensors made once. Arguments: the model's file. */

#include "engine.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* From onnxruntime_c_api.h, which the wheel leaves out. The table of functions only ever grows at its end, so each one's
   place in it is fixed; these are the places since version 1. */
struct api_base {
    const void *const *(*get_api)(uint32_t version);
    const char *(*version)(void);
};
extern const struct api_base *OrtGetApiBase(void);
enum {
    API_VERSION = 16,
    GET_ERROR_MESSAGE = 2,
    CREATE_ENV = 3,
    CREATE_SESSION = 7,
    RUN = 9,
    CREATE_SESSION_OPTIONS = 10,
    SET_INTRA_OP_THREADS = 24,
    SET_INTER_OP_THREADS = 25,
    CREATE_TENSOR_WITH_DATA = 49,
    CREATE_CPU_MEMORY_INFO = 69,
    WARNING = 2,
    FLOAT = 1,
    DEVICE_ALLOCATOR = 0,
    DEFAULT_MEMORY = 0,
};
typedef void *status;
typedef status create_env(int level, const char *name, void **out);
typedef status create_session(void *env, const char *path, void *options, void **out);
typedef status run(void *session, void *options, const char *const *names, const void *const *inputs, size_t count,
                   const char *const *output_names, size_t outputs, void **values);
typedef status create_options(void **out);
typedef status set_threads(void *options, int threads);
typedef status create_tensor(void *memory, void *data, size_t bytes, const int64_t *shape, size_t dimensions, int type,
                             void **out);
typedef status create_memory(int allocator, int type, void **out);
typedef const char *message(status);

static const char *const INPUT[] = {"rows"}, *const OUTPUT[] = {"margins"};

static struct rows rows;
static const void *const *api;
static void *session, *memory;
static size_t calls, rows_a_call;
static void **inputs;  /* one tensor a call, over the rows as they lie */
static void *output;
static float *results;

static void check(status error) {
    if (error) fail("ONNX Runtime: %s", ((message *)api[GET_ERROR_MESSAGE])(error));
}

static void *tensor(const float *data, size_t count, size_t width) {
    void *value;
    int64_t shape[] = {(int64_t)count, (int64_t)width};
    check(((create_tensor *)api[CREATE_TENSOR_WITH_DATA])(memory, (void *)data, count * width * sizeof(float), shape, 2, FLOAT,
                                                          &value));
    return value;
}

void engine_open(struct rows all, int count, char **arguments) {
    void *env, *options;
    if (count != 1) fail("usage: ... MODEL");
    rows = all;
    api = OrtGetApiBase()->get_api(API_VERSION);
    if (!api) fail("ONNX Runtime has no API %d", API_VERSION);
    check(((create_env *)api[CREATE_ENV])(WARNING, "peer", &env));
    check(((create_options *)api[CREATE_SESSION_OPTIONS])(&options));
    check(((set_threads *)api[SET_INTRA_OP_THREADS])(options, 1));
    check(((set_threads *)api[SET_INTER_OP_THREADS])(options, 1));
    check(((create_session *)api[CREATE_SESSION])(env, arguments[0], options, &session));
    check(((create_memory *)api[CREATE_CPU_MEMORY_INFO])(DEVICE_ALLOCATOR, DEFAULT_MEMORY, &memory));
}

/* Old tensors are left behind: they are small, and there are few turns. */
void engine_layout(size_t first, size_t count, size_t per_call) {
    calls = count / per_call;
    rows_a_call = per_call;
    free(inputs);
    free(results);
    inputs = allocate(calls * sizeof *inputs);
    results = allocate(per_call * sizeof *results);
    for (size_t call = 0; call < calls; call++)
        inputs[call] = tensor(rows.values + (first + call * per_call) * rows.features, per_call, rows.features);
    output = tensor(results, per_call, 1);
}

void engine_run(double *margins) {
    run *call_run = (run *)api[RUN];
    for (size_t call = 0; call < calls; call++) {
        check(call_run(session, NULL, INPUT, (const void *const *)&inputs[call], 1, OUTPUT, 1, &output));
        for (size_t row = 0; row < rows_a_call; row++) *margins++ = results[row];
    }
}
