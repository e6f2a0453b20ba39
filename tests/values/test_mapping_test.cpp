#include "falproxy/test_mapping.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <iterator>
#include <string>

namespace falproxy {
namespace {

std::string painter() {
  std::ifstream in(FALPROXY_SOURCE_DIR "/examples/painter.json", std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

TEST_CASE("a mapping shows what fal would be sent") {
  testing::Mapping m(painter());
  CHECK(m.json(R"({"prompt":"x","size":"1536x1024"})") ==
        R"({"image_size":{"height":1024,"width":1536},"num_images":1,"prompt":"x"})");
  CHECK(m.notes().empty());
  CHECK_FALSE(m.error().has_value());
}

TEST_CASE("a mapping shows the input of every job, a line each") {
  testing::Mapping m(painter(), {}, {.max_images = 20});
  const Result<plan::Plan> plan = m.plan(R"({"prompt":"x","n":20})");
  REQUIRE(plan.has_value());
  REQUIRE(plan->jobs.size() > 1);
  std::string lines;
  for (const plan::JobInput& job : plan->jobs) lines += job.input.dump() + "\n";
  CHECK(m.json(R"({"prompt":"x","n":20})") + "\n" == lines);
}

TEST_CASE("a mapping tells what the Notes of the last request are") {
  testing::Mapping m(painter());
  m.json(R"({"prompt":"x","nobody_knows_this":1})");
  REQUIRE(m.notes().size() == 1);
  CHECK(m.notes().front().field == "nobody_knows_this");
  m.json(R"({"prompt":"x"})");
  CHECK(m.notes().empty());
}

TEST_CASE("a mapping gives the error of a refused request, readably") {
  testing::Mapping m(painter());
  const std::string shown = m.json(R"({"prompt":"x","size":"huge"})");
  CHECK(shown.starts_with("invalid_value: Invalid value: 'huge'."));
  CHECK(shown.ends_with("(field size)"));
  CHECK(m.error() == Error{ErrorKind::invalid_value, {}, "size"});
  CHECK(m.json("{").starts_with("invalid_json: "));
  testing::Mapping strict(painter(), {}, {.strict_parameters = true});
  CHECK(strict.json(R"({"prompt":"x","nobody_knows_this":1})").starts_with("unknown_parameter: "));
}

TEST_CASE("a mapping goes by the model's settings") {
  testing::Mapping m(painter(), {.overrides = {{"num_images", 3}}});
  CHECK(m.json(R"({"prompt":"x"})").find(R"("num_images":3)") != std::string::npos);
}

TEST_CASE("a mapping of a broken document gives that error for every request") {
  testing::Mapping m("no document");
  CHECK(m.json(R"({"prompt":"x"})").starts_with("invalid_document: "));
  CHECK(m.error()->kind == ErrorKind::invalid_document);
}

}  // namespace falproxy
