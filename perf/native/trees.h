/* Reads what `trees.py` writes. */

#ifndef TREES_H
#define TREES_H

#include "engine.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct trees {
    uint32_t trees, nodes, features;
    double base;
    uint32_t *start;        /* of each tree's nodes, and one past the last */
    int32_t *feature;       /* -1 for a leaf */
    float *threshold;       /* value < threshold goes left */
    uint8_t *default_left;  /* where NaN goes */
    int32_t *left, *right;  /* within the tree */
    double *value;          /* of a leaf */
};

static void *read_array(FILE *file, size_t count, size_t size) {
    void *memory = allocate(count * size);
    if (fread(memory, size, count, file) != count) fail("the trees are cut short");
    return memory;
}

static struct trees read_trees(const char *path) {
    struct trees trees;
    char magic[8];
    uint32_t counts[3];
    FILE *file = fopen(path, "rb");
    if (!file || fread(magic, 1, 8, file) != 8 || memcmp(magic, "QTREES1\n", 8)) fail("%s holds no trees", path);
    if (fread(counts, 4, 3, file) != 3 || fread(&trees.base, 8, 1, file) != 1) fail("the trees are cut short");
    trees.trees = counts[0], trees.nodes = counts[1], trees.features = counts[2];
    trees.start = (uint32_t *)read_array(file, trees.trees + 1, 4);
    trees.feature = (int32_t *)read_array(file, trees.nodes, 4);
    trees.threshold = (float *)read_array(file, trees.nodes, 4);
    trees.default_left = (uint8_t *)read_array(file, trees.nodes, 1);
    trees.left = (int32_t *)read_array(file, trees.nodes, 4);
    trees.right = (int32_t *)read_array(file, trees.nodes, 4);
    trees.value = (double *)read_array(file, trees.nodes, 8);
    fclose(file);
    return trees;
}

#endif
