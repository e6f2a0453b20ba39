#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "plan/models.hpp"

using namespace falproxy;
using namespace models;

namespace {

Wish n(int count, std::string_view native_fields = "{}") {
  Wish request = generation();
  if (count > 0) request.n = count;
  request.native = fields(native_fields);
  return request;
}

// "num_images" of each job: "4 4 2"; "-" where none is sent.
std::string counts(const Plan& plan, std::string_view property = "num_images") {
  std::string text;
  for (const auto& job : plan.jobs) {
    const auto value = job.input.find(property);
    text += (text.empty() ? "" : " ") + (value ? value->dump() : std::string("-"));
  }
  return text;
}

int pictures(const Plan& plan) {
  int total = 0;
  for (const auto& job : plan.jobs) total += job.images;
  return total;
}

}  // namespace

TEST_CASE("n is met in as few jobs as the model allows") {
  struct Case {
    std::string name;
    std::string_view input;
    int n;
    std::string_view property;
    std::string want;
    int pictures;
  };
  const std::string_view default_four =
      R"("num_images": {"type": "integer", "minimum": 1, "maximum": 4, "default": 4})";
  const std::string_view no_limit = R"("number_of_images": {"type": "integer", "default": 1})";
  const std::string_view listed = R"("num_images": {"type": "integer", "enum": [1, 2, 4]})";
  const std::string_view texts = R"("num_images": {"type": "string", "enum": ["1", "2"]})";
  const std::string_view at_least_two =
      R"("num_images": {"type": "integer", "minimum": 2, "maximum": 8})";
  const std::string_view exclusive =
      R"("num_images": {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 5})";
  const std::string_view nullable =
      R"("num_images": {"anyOf": [{"type": "integer", "maximum": 4}, {"type": "null"}]})";
  const std::string_view only_max =
      R"("max_images": {"type": "integer", "minimum": 1, "maximum": 5, "default": 1})";
  const std::string_view samples =
      R"("num_samples": {"type": "integer", "minimum": 1, "maximum": 4})";
  const std::string_view outputs =
      R"("number_of_outputs": {"type": "integer", "minimum": 1, "maximum": 4})";
  const std::string_view pairs =
      R"("num_images": {"type": "integer", "minimum": 2, "maximum": 5, "multipleOf": 2})";
  const std::string_view no_count = R"("num_images": {"type": "integer", "maximum": 0})";
  const std::vector<Case> cases = {
      {"one", four_images, 1, "num_images", "1", 1},
      {"none asked", four_images, 0, "num_images", "1", 1},
      {"none asked of a model that makes four", default_four, 0, "num_images", "1", 1},
      {"as many as it makes", four_images, 4, "num_images", "4", 4},
      {"more than it makes", four_images, 10, "num_images", "4 4 2", 10},
      {"without a limit", no_limit, 10, "number_of_images", "10", 10},
      {"of a list", listed, 3, "num_images", "2 1", 3},
      {"of a list of texts", texts, 3, "num_images", R"("2" "1")", 3},
      {"fewer than it makes", at_least_two, 1, "num_images", "2", 2},
      {"exclusive bounds", exclusive, 6, "num_images", "4 2", 6},
      {"nullable", nullable, 6, "num_images", "4 2", 6},
      {"max_images alone", only_max, 4, "max_images", "4", 4},
      {"num_samples", samples, 5, "num_samples", "4 1", 5},
      {"a name of its own", outputs, 5, "number_of_outputs", "4 1", 5},
      {"multiples", pairs, 6, "num_images", "4 2", 6},
      {"one that takes no count", no_count, 2, "num_images", "- -", 2},
      {"no such input", seed, 3, "num_images", "- - -", 3},
  };
  for (const Case& c : cases) {
    SUBCASE(c.name.c_str()) {
      const Plan mapped = plan_of(n(c.n), with({c.input}));
      CHECK(counts(mapped, c.property) == c.want);
      CHECK(pictures(mapped) == c.pictures);
      CHECK(mapped.n == std::max(c.n, 1));
    }
  }
}

TEST_CASE("max_images beside num_images multiplies") {
  const std::string_view both =
      R"("num_images": {"type": "integer", "minimum": 1, "maximum": 6, "default": 1},
         "max_images": {"type": "integer", "minimum": 1, "maximum": 6, "default": 1})";
  const std::string_view many_by_default =
      R"("num_images": {"type": "integer", "minimum": 1, "maximum": 6, "default": 1},
         "max_images": {"type": "integer", "minimum": 1, "maximum": 6, "default": 3})";
  CHECK(sent(plan_of(n(4), with({both}))) == R"({"num_images":4})");
  CHECK(sent(plan_of(n(4), with({many_by_default}))) == R"({"max_images":1,"num_images":4})");

  const Plan mapped = plan_of(n(2, R"({"max_images": 3})"), with({both}));
  CHECK(sent(mapped) == R"({"max_images":3,"num_images":2})");
  CHECK(mapped.n == 6);
  CHECK(pictures(mapped) == 6);

  const auto refused = map(n(4, R"({"max_images": 3})"), with({both}));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::invalid_value);
  CHECK(refused.error().field == "max_images");
}

TEST_CASE("a required max_images beside num_images is one picture a run") {
  const std::string_view both =
      R"("num_images": {"type": "integer", "minimum": 1, "maximum": 6},
         "max_images": {"type": "integer", "minimum": 1, "maximum": 6})";
  const Plan mapped = plan_of(n(2), with({both}, R"(["prompt", "max_images", "num_images"])"));
  CHECK(sent(mapped) == R"({"max_images":1,"num_images":2})");
}

TEST_CASE("the limit of pictures counts what would result") {
  Options options;
  options.max_images = 3;
  CHECK(map(n(3), with({four_images}), {}, options));
  for (const int wrong : {4, 1000, 0, -1}) {
    CAPTURE(wrong);
    Wish request = generation();
    request.n = wrong;
    const auto mapped = map(request, with({four_images}), {}, options);
    REQUIRE_FALSE(mapped);
    CHECK(mapped.error().kind == ErrorKind::invalid_value);
    CHECK(mapped.error().field == "n");
  }
  const auto own = map(n(0, R"({"num_images": 4})"), with({four_images}), {}, options);
  REQUIRE_FALSE(own);
  CHECK(own.error().field == "num_images");
}

TEST_CASE("the operator's count is a default for n, and as an override the size of each job") {
  ModelSettings defaults;
  defaults.defaults = fields(R"({"num_images": 2})");
  CHECK(counts(plan_of(n(0), with({four_images}), defaults)) == "2");
  CHECK(plan_of(n(0), with({four_images}), defaults).n == 2);
  CHECK(counts(plan_of(n(3), with({four_images}), defaults)) == "3");

  ModelSettings overrides;
  overrides.overrides = fields(R"({"num_images": 1})");
  const Plan mapped = plan_of(n(3), with({four_images}), overrides);
  CHECK(counts(mapped) == "1 1 1");
  CHECK(mapped.n == 3);
}

TEST_CASE("where the document would have the same seed every time, a random one is sent and told") {
  const std::string_view fixed = R"("seed": {"type": "integer", "default": 5555})";
  const std::string_view small =
      R"("seed": {"type": "integer", "minimum": 1, "maximum": 4, "default": 2})";
  const std::string_view nullable =
      R"("seed": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}], "default": 42})";
  const auto seeds = [](const Wish& request, const Profile& model, double chance) {
    return counts(plan_of(request, model, {}, {}, chance), "seed");
  };
  CHECK(seeds(n(1), with({fixed}), 0) == "0");
  CHECK(seeds(n(1), with({fixed}), 0.5) == "1073741824");
  CHECK(seeds(n(1), with({fixed}), 0.9999999999) == "2147483647");
  CHECK(seeds(n(3), with({fixed}), 0.5) == "1073741824 1073741825 1073741826");
  CHECK(seeds(n(1), with({small}), 0) == "1");
  CHECK(seeds(n(1), with({small}), 0.99) == "4");
  CHECK(seeds(n(1), with({nullable}), 0) == "1");
  CHECK(seeds(n(1), with({fixed}, R"(["prompt", "seed"])"), 0) == "0");
  CHECK(note(plan_of(n(1), with({fixed}), {}, {}, 0.5), "seed") ==
        "not given: 1073741824 was chosen, as the model's own is always 5555");

  SUBCASE("not where somebody gave one, or the model chooses one by itself") {
    const std::string_view own = R"("seed": {"type": "integer", "default": -1})";
    CHECK(seeds(n(1, R"({"seed": 7})"), with({fixed}), 0.5) == "7");
    CHECK(seeds(n(1), with({own}), 0.5) == "-");
    CHECK(seeds(n(1), with({seed}), 0.5) == "-");
    falproxy::ModelSettings settings;
    settings.defaults = {{"seed", Json::integer(8)}};
    CHECK(counts(plan_of(n(1), with({fixed}), settings, {}, 0.5), "seed") == "8");
  }
  SUBCASE("without a source of chance the document's own stays") {
    CHECK(counts(plan_of(n(1), with({fixed})), "seed") == "-");
    CHECK(counts(plan_of(n(1), with({fixed}, R"(["prompt", "seed"])")), "seed") == "5555");
  }
}

TEST_CASE("several jobs of one request differ in their seeds") {
  struct Case {
    std::string name;
    std::string_view input;
    std::string_view native;
    std::string want;
    bool noted;
  };
  const std::string_view fixed = R"("seed": {"type": "integer", "default": 5555})";
  const std::string_view random = R"("seed": {"type": "integer", "default": -1})";
  const std::string_view bounded = R"("seed": {"type": "integer", "minimum": 0, "maximum": 999})";
  const std::string_view mixed =
      R"("seed": {"anyOf": [{"type": "string"}, {"type": "integer", "minimum": 0, "maximum": 9}]})";
  const std::vector<Case> cases = {
      {"a seed that is given", seed, R"({"seed": 42})", "42 43 44", true},
      {"none given", seed, "{}", "- - -", false},
      {"one that the document fixes", fixed, "{}", "5555 5556 5557", true},
      {"given where the document fixes one", fixed, R"({"seed": 1})", "1 2 3", true},
      {"random by default", random, "{}", "- - -", false},
      {"at the end of the range", bounded, R"({"seed": 998})", "998 999 0", true},
      {"at the end of the range of one of its kinds", mixed, R"({"seed": 9})", "9 0 1", true},
      {"at the end of all numbers", seed, R"({"seed": 9223372036854775807})",
       "9223372036854775807 0 1", true},
      {"negative", seed, R"({"seed": -2})", "-2 -1 0", true},
  };
  for (const Case& c : cases) {
    SUBCASE(c.name.c_str()) {
      const Plan mapped = plan_of(n(3, c.native), with({c.input}));
      CHECK(counts(mapped, "seed") == c.want);
      CHECK(has_note(mapped, "seed") == c.noted);
    }
  }
  CHECK(counts(plan_of(n(1, R"({"seed": 42})"), with({seed})), "seed") == "42");
  CHECK(counts(plan_of(n(1), with({fixed})), "seed") == "-");
}

TEST_CASE("bounds that no number reaches are no count, and do no harm") {
  for (const std::string_view bounds :
       {R"("minimum": 88888888888888888888888888888881, "maximum": 5)", R"("minimum": 3000000000)",
        R"("maximum": -1e300)", R"("multipleOf": 1e300)"}) {
    CAPTURE(bounds);
    Wish request = generation();
    request.n = 2;
    const auto mapped =
        map(request,
            with({fmt::format(
                R"("num_images": {{"type": "integer", {}}}, "seed": {{"type": "integer", {}}})",
                bounds, bounds)}));
    REQUIRE(mapped);
    CHECK(mapped->jobs.size() == 2);
    CHECK(sent(*mapped, "num_images").empty());
  }
}
