/* oneDAL's C++ interface: a gradient boosted regression whose trees come from its model builder, as daal4py converts other
   libraries' models. Arguments: the file of `trees.py`. It tests `value <= threshold`, so thresholds go down by one step. */

#include "trees.h"

#include <cmath>
#include <vector>

#include "daal.h"

using namespace daal::algorithms;
using namespace daal::data_management;
using Table = daal::services::SharedPtr<HomogenNumericTable<float>>;

static struct rows rows;
static gbt::regression::prediction::Batch<float> *algorithm;
static double base;
static std::vector<Table> inputs;  // one a call, over the rows as they lie
static size_t rows_a_call;
static Table output;

static void add(gbt::regression::ModelBuilder &builder, const struct trees &trees, size_t tree, size_t id, size_t parent,
                size_t position, int32_t node) {
    size_t at = trees.start[tree] + (size_t)node;
    if (trees.feature[at] < 0) {
        builder.addLeafNode(id, parent, position, trees.value[at], 1);
        return;
    }
    float below = std::nextafter(trees.threshold[at], -INFINITY);
    size_t self = builder.addSplitNode(id, parent, position, (size_t)trees.feature[at], below, trees.default_left[at], 1);
    add(builder, trees, tree, id, self, 0, trees.left[at]);
    add(builder, trees, tree, id, self, 1, trees.right[at]);
}

void engine_open(struct rows all, int count, char **arguments) {
    if (count != 1) fail("usage: ... TREES");
    rows = all;
    try {
        daal::services::Environment::getInstance()->setNumberOfThreads(1);
        struct trees trees = read_trees(arguments[0]);
        base = trees.base;
        gbt::regression::ModelBuilder builder(trees.features, trees.trees);
        for (size_t tree = 0; tree < trees.trees; tree++) {
            size_t id = builder.createTree(trees.start[tree + 1] - trees.start[tree]);
            add(builder, trees, tree, id, gbt::regression::ModelBuilder::noParent, 0, 0);
        }
        algorithm = new gbt::regression::prediction::Batch<float>();
        algorithm->input.set(gbt::regression::prediction::model, builder.getModel());
    } catch (const std::exception &error) {
        fail("oneDAL: %s", error.what());
    }
}

void engine_layout(size_t first, size_t count, size_t per_call) {
    try {
        rows_a_call = per_call;
        inputs.clear();
        for (size_t row = first; row < first + count; row += per_call)
            inputs.push_back(HomogenNumericTable<float>::create(const_cast<float *>(rows.values + row * rows.features),
                                                                rows.features, per_call));
        output = HomogenNumericTable<float>::create(1, per_call, NumericTable::doAllocate);
        auto result = daal::services::SharedPtr<gbt::regression::prediction::Result>(new gbt::regression::prediction::Result());
        result->set(gbt::regression::prediction::prediction, output);
        algorithm->setResult(result);
    } catch (const std::exception &error) {
        fail("oneDAL: %s", error.what());
    }
}

void engine_run(double *margins) {
    try {
        for (const Table &input : inputs) {
            algorithm->input.set(gbt::regression::prediction::data, input);
            algorithm->compute();
            const float *results = output->getArray();
            for (size_t row = 0; row < rows_a_call; row++) *margins++ = results[row] + base;
        }
    } catch (const std::exception &error) {
        fail("oneDAL: %s", error.what());
    }
}
