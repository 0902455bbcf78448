/* The yardstick: a plain C loop that walks eight trees in step, so that eight loads wait at once. No intrinsics, no
   quantisation; what an engineer writes in an afternoon. It never changes, so it tells machines and days apart.

   Arguments: the file of `trees.py`. A leaf points at itself, and each group of eight takes the steps of its deepest. */

#include "trees.h"

#include <math.h>
#include <stdlib.h>

struct node {
    float threshold;
    uint32_t feature;  /* the top bit: NaN goes left */
    uint32_t left;     /* of all nodes; the right child follows it. A leaf's own number otherwise */
};

enum { STEP = 8 };

static struct rows rows;
static const float *turn;
static size_t turn_rows;
static size_t groups;
static struct node *nodes;
static double *values;
static uint32_t *roots, *depths;
static double base;

static uint32_t place(const struct trees *trees, size_t tree, int32_t node, uint32_t at, uint32_t *free, uint32_t depth,
                      uint32_t *deepest) {
    size_t from = trees->start[tree] + (size_t)node;
    if (depth > *deepest) *deepest = depth;
    if (trees->feature[from] < 0) {
        nodes[at] = (struct node){-INFINITY, 0, at - 1};  /* not below: goes to the one after `left`, which is itself */
        values[at] = trees->value[from];
        return at;
    }
    uint32_t left = *free;
    *free += 2;
    nodes[at] = (struct node){trees->threshold[from],
                              (uint32_t)trees->feature[from] | (trees->default_left[from] ? 1u << 31 : 0), left};
    place(trees, tree, trees->left[from], left, free, depth + 1, deepest);
    place(trees, tree, trees->right[from], left + 1, free, depth + 1, deepest);
    return at;
}

void engine_open(struct rows all, int count, char **arguments) {
    if (count != 1) fail("usage: ... TREES");
    struct trees trees = read_trees(arguments[0]);
    rows = all;
    base = trees.base;
    groups = (trees.trees + STEP - 1) / STEP;
    nodes = allocate((trees.nodes + STEP + 1) * sizeof *nodes);
    values = allocate((trees.nodes + STEP + 1) * sizeof *values);
    memset(values, 0, (trees.nodes + STEP + 1) * sizeof *values);
    roots = allocate(groups * STEP * sizeof *roots);
    depths = allocate(groups * sizeof *depths);
    memset(depths, 0, groups * sizeof *depths);
    uint32_t free = 1;  /* node 0 has no place before it to name */
    for (size_t tree = 0; tree < groups * STEP; tree++) {
        roots[tree] = free++;
        if (tree < trees.trees)
            place(&trees, tree, 0, roots[tree], &free, 0, &depths[tree / STEP]);
        else
            nodes[roots[tree]] = (struct node){-INFINITY, 0, roots[tree] - 1};
    }
}

void engine_layout(size_t first, size_t count, size_t per_call) {
    (void)per_call;  /* a batch is a loop over its rows */
    turn = rows.values + first * rows.features;
    turn_rows = count;
}

static inline uint32_t next(const float *row, uint32_t at) {
    struct node node = nodes[at];
    float value = row[node.feature & 0x7fffffff];
    /* `|` and `&`: a branch would be mispredicted every other time. */
    uint32_t left = (uint32_t)(value < node.threshold) | ((uint32_t)(value != value) & node.feature >> 31);
    return node.left + 1 - left;
}

static double score(const float *row) {
    double sum = base;
    for (size_t group = 0; group < groups; group++) {
        uint32_t at[STEP];
        memcpy(at, roots + group * STEP, sizeof at);
        for (uint32_t depth = depths[group]; depth; depth--)
            for (int tree = 0; tree < STEP; tree++) at[tree] = next(row, at[tree]);
        for (int tree = 0; tree < STEP; tree++) sum += values[at[tree]];
    }
    return sum;
}

void engine_run(double *margins) {
    for (size_t row = 0; row < turn_rows; row++) margins[row] = score(turn + row * rows.features);
}
