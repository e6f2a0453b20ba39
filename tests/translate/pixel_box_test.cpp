#include "translate/pixel_box.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "schema/documents.hpp"

using namespace falproxy;
using translate::PixelBox;
using translate::Pixels;

namespace {

PixelBox box(std::string_view side, const schema::FalLimits& limits = {}) {
  const schema::Field field = documents::field(side);
  return translate::pixel_box(field, field, limits);
}

}  // namespace

TEST_CASE("a size that the model takes is its own nearest") {
  const PixelBox flux = box(R"({"type": "integer", "exclusiveMinimum": 0, "maximum": 14142})");
  for (const Pixels size :
       {Pixels{1024, 1024}, Pixels{1, 1}, Pixels{14142, 14142}, Pixels{1000, 333}}) {
    CHECK(flux.takes(size));
    CHECK(flux.nearest(size.width, size.height) == size);
  }
  CHECK_FALSE(flux.takes({0, 1024}));
  CHECK_FALSE(flux.takes({14143, 1024}));
}

TEST_CASE("the nearest size keeps the shape and breaks as few limits as it can") {
  schema::FalLimits gpt;  // as a model of fal's writes its limits in x-fal
  gpt.multiple_of = 16;
  gpt.max_width = gpt.max_height = 3840;
  gpt.min_aspect_ratio = 1.0 / 3;
  gpt.max_aspect_ratio = 3;
  gpt.min_area = 655'360;
  gpt.max_area = 8'294'400;
  const std::string any = R"({"type": "integer", "minimum": 1})";
  const std::string between = R"({"type": "integer", "minimum": 512, "maximum": 2048})";
  const std::string eights = R"({"type": "integer", "minimum": 64, "multipleOf": 8})";
  const std::string listed = R"({"type": "integer", "enum": [512, 768, 1024]})";

  struct Case {
    std::string name;
    PixelBox in;
    Pixels wish;
    Pixels want;
    std::string broken;
  };
  const std::vector<Case> cases = {
      {"multiples of 8", box(eights), {1001, 1001}, {1000, 1000}, "multiples of 8"},
      {"multiples of 16 and of x-fal",
       box(eights, gpt),
       {1000, 1000},
       {1008, 1008},
       "multiples of 16"},
      {"too large", box(between), {4096, 2048}, {2048, 1024}, "at most 2048 wide"},
      {"too small", box(between), {256, 256}, {512, 512}, "at least 512 wide, at least 512 high"},
      {"one side too small", box(between), {1024, 256}, {2048, 512}, "at least 512 high"},
      {"a shape that the bounds forbid",
       box(between),
       {8192, 512},
       {2048, 512},
       "at most 2048 wide"},
      {"area too small", box(any, gpt), {512, 512}, {816, 816}, "at least 655360 pixels"},
      {"area too large", box(any, gpt), {3840, 3840}, {2880, 2880}, "at most 8294400 pixels"},
      {"too wide",
       box(any, gpt),
       {2048, 512},
       {1776, 592},
       "a width of at most 3 times the height"},
      {"sides from a list",
       box(listed),
       {1100, 800},
       {1024, 768},
       "the sides that the model lists"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    CHECK_FALSE(c.in.takes(c.wish));
    const auto nearest = c.in.nearest(c.wish.width, c.wish.height);
    REQUIRE(nearest);
    CHECK(c.in.takes(*nearest));
    CHECK(nearest->width == c.want.width);
    CHECK(nearest->height == c.want.height);
    CHECK(c.in.broken_limits(c.wish) == c.broken);
  }
}

TEST_CASE("limits that contradict each other take nothing") {
  schema::FalLimits limits;
  limits.min_area = 1e9;
  CHECK_FALSE(box(R"({"type": "integer", "maximum": 64})", limits).nearest(64, 64));
  CHECK_FALSE(box(R"({"type": "integer", "minimum": 100, "maximum": 50})").nearest(64, 64));
  CHECK_FALSE(
      box(R"({"type": "integer", "minimum": 5, "maximum": 7, "multipleOf": 8})").nearest(64, 64));
}

TEST_CASE("whatever is wished, the nearest size is in the box") {
  schema::FalLimits limits;
  limits.multiple_of = 32;
  limits.min_width = limits.min_height = 256;
  limits.max_width = limits.max_height = 4096;
  limits.min_area = 262'144;
  limits.max_area = 4'194'304;
  limits.min_aspect_ratio = 0.25;
  limits.max_aspect_ratio = 4;
  const PixelBox in = box(R"({"type": "integer"})", limits);
  for (std::uint32_t width = 1; width < 16'384; width = width * 3 / 2 + 1) {
    for (std::uint32_t height = 1; height < 16'384; height = height * 4 / 3 + 1) {
      CAPTURE(width);
      CAPTURE(height);
      const auto nearest = in.nearest(width, height);
      REQUIRE(nearest);
      CHECK(in.takes(*nearest));
      if (in.takes({width, height})) CHECK(*nearest == Pixels{width, height});
    }
  }
}
