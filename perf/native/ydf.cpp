/* YDF's C++ engines, called as a C++ program calls them: examples are set beforehand, `Predict` is timed.

   The wheel holds the library (a Python extension that exports its C++ symbols) but no headers, so this file declares the few
   things that it calls, as ydf 0.16.1 has them: two functions by name and two abstract classes by the order of their virtual
   functions. `ydf_host.py` loads the extension and then this file; a version with another layout would give other answers
   or crash, and the engine would be void.

   Arguments: the saved model's folder and the name of an engine. */

#include "engine.h"

#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace declared {

constexpr uintptr_t OK = 1;  // absl::Status is one word, and this one says "fine"

struct Feature {
    std::string name;
    int type, column, index;
};

struct Features {
    std::vector<Feature> fixed_length;  // the first member; the others are not needed
};

struct Examples {
    virtual ~Examples() = default;
    virtual void set_numerical(int example, int feature, float value, const Features &features) = 0;
    virtual void set_boolean() = 0;
    virtual void set_category_number() = 0;
    virtual void set_category_name() = 0;
    virtual void set_categories_numbers() = 0;
    virtual void set_categories_names() = 0;
    virtual void set_vectors() = 0;
    virtual void set_several_numerical() = 0;
    virtual void set_missing_numerical(int example, int feature, const Features &features) = 0;
};

struct Engine {
    virtual ~Engine() = default;
    virtual std::unique_ptr<Examples> allocate_examples(int count) const = 0;
    virtual void predict(const Examples &examples, int count, std::vector<float> *predictions) const = 0;
    virtual void leaves() = 0;
    virtual int dimensions() const = 0;
    virtual const Features &features() const = 0;
};

// A destructor that is not trivial makes the compiler return these in memory, as it does the originals.
struct Status {
    uintptr_t code;
    ~Status() {}
};

struct StatusOrEngine {
    uintptr_t code;
    Engine *engine;
    ~StatusOrEngine() {}
};

}  // namespace declared

using namespace declared;

namespace yggdrasil_decision_forests::model {

struct ModelIOOptions {
    std::optional<std::string> file_prefix;
};

class AbstractModel {
  public:
    StatusOrEngine BuildFastEngine(const std::optional<std::string> &name) const;
};

Status LoadModel(std::string_view folder, std::unique_ptr<AbstractModel> *model, ModelIOOptions options);

}  // namespace yggdrasil_decision_forests::model

static struct rows rows;
static Engine *engine;
static std::vector<int> columns;  // of the row, in the order of the engine's features
static std::vector<std::unique_ptr<Examples>> calls;
static size_t rows_a_call;

void engine_open(struct rows all, int count, char **arguments) {
    using namespace yggdrasil_decision_forests::model;
    if (count != 2) fail("usage: ... FOLDER ENGINE");
    rows = all;
    auto *model = new std::unique_ptr<AbstractModel>();  // kept for ever: only the library can destroy it
    if (LoadModel(arguments[0], model, {}).code != OK) fail("YDF cannot load %s", arguments[0]);
    StatusOrEngine built = (*model)->BuildFastEngine(std::optional<std::string>(arguments[1]));
    if (built.code != OK) fail("YDF cannot build %s", arguments[1]);
    engine = built.engine;
    if (engine->dimensions() != 1) fail("YDF's engine has %d outputs", engine->dimensions());
    for (const Feature &feature : engine->features().fixed_length) {
        if (feature.name.size() < 2 || feature.name[0] != 'f') fail("YDF's features are not ours");
        columns.push_back(std::stoi(feature.name.substr(1)));
    }
}

void engine_layout(size_t first, size_t count, size_t per_call) {
    const Features &features = engine->features();
    rows_a_call = per_call;
    calls.clear();
    for (size_t row = first; row < first + count; row += per_call) {
        calls.push_back(engine->allocate_examples((int)per_call));
        for (size_t example = 0; example < per_call; example++)
            for (const Feature &feature : features.fixed_length) {
                int column = columns[(size_t)(&feature - features.fixed_length.data())];
                float value = rows.values[(row + example) * rows.features + (size_t)column];
                if (std::isnan(value))
                    calls.back()->set_missing_numerical((int)example, feature.index, features);
                else
                    calls.back()->set_numerical((int)example, feature.index, value, features);
            }
    }
}

void engine_run(double *margins) {
    static std::vector<float> predictions;
    for (const auto &examples : calls) {
        engine->predict(*examples, (int)rows_a_call, &predictions);
        for (size_t row = 0; row < rows_a_call; row++) *margins++ = predictions[row];
    }
}
