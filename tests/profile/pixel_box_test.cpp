#include "profile/pixel_box.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "schema/documents.hpp"

using namespace falproxy;
using profile::PixelBox;
using profile::Pixels;

namespace {

PixelBox box(std::string_view side, const schema::FalLimits& limits = {}) {
  const schema::Field field = documents::field(side);
  return profile::pixel_box(field, field, limits);
}

// How much further from the wished shape a size is than that one of all in the box.
double shape_lost(const PixelBox& in, Pixels size, double wanted) {
  const auto distance = [&](Pixels of) {
    return profile::log_distance(static_cast<double>(of.width) / of.height, wanted);
  };
  double least = distance(size);
  for (std::uint32_t w = in.width.low; w <= in.width.high; w += in.width.step) {
    for (std::uint32_t h = in.height.low; h <= in.height.high; h += in.height.step) {
      if (in.takes({w, h})) least = std::min(least, distance({w, h}));
    }
  }
  return distance(size) - least;
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

TEST_CASE("of listed sides those are chosen that come nearest together") {
  const std::string any = R"({"type": "integer", "minimum": 64, "maximum": 4096})";
  const auto of = [](std::string_view width, std::string_view height,
                     const schema::FalLimits& limits = {}) {
    return profile::pixel_box(documents::field(width), documents::field(height), limits);
  };
  const std::string odd = R"({"enum": [512, 1000, 1024]})";
  CHECK(of(odd, odd).nearest(1001, 1001) == Pixels{1000, 1000});
  const std::string two = R"({"enum": [512, 1024]})";
  CHECK(of(two, any).nearest(800, 800) == Pixels{1024, 1024});
  CHECK(of(any, two).nearest(800, 400) == Pixels{1024, 512});
  schema::FalLimits limits;
  limits.min_height = limits.min_width = 600;
  CHECK(of(two, two, limits).nearest(512, 512) == Pixels{1024, 1024});
  limits.max_height = limits.max_width = 700;
  CHECK_FALSE(of(two, two, limits).nearest(512, 512));
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
  for (std::uint32_t width = 1; width < 16'384; width = width * 5 / 2 + 1) {
    for (std::uint32_t height = 1; height < 16'384; height = height * 7 / 3 + 1) {
      CAPTURE(width);
      CAPTURE(height);
      const auto nearest = in.nearest(width, height);
      REQUIRE(nearest);
      CHECK(in.takes(*nearest));
      if (in.takes({width, height})) CHECK(*nearest == Pixels{width, height});
      CHECK(shape_lost(in, *nearest, static_cast<double>(width) / height) < 0.08);
    }
  }
}

TEST_CASE("whatever the limits, a size that fits them is found if there is one") {
  std::uint32_t state = 7;
  const auto random = [&state](std::uint32_t below) {
    state = state * 1664525U + 1013904223U;
    return (state >> 8U) % below;
  };
  std::size_t found = 0;
  for (int i = 0; i < 400; ++i) {
    PixelBox box;
    for (profile::Side* side : {&box.width, &box.height}) {
      side->step = 1 + random(12);
      side->low = (1 + random(20)) * side->step;
      side->high = side->low + random(30) * side->step;
    }
    box.min_area = random(40'000);
    box.max_area = box.min_area + random(20'000);
    box.min_aspect = 0.2 + random(10) / 10.0;
    box.max_aspect = box.min_aspect + random(20) / 10.0;
    bool any = false;
    for (std::uint32_t w = box.width.low; w <= box.width.high && !any; w += box.width.step) {
      for (std::uint32_t h = box.height.low; h <= box.height.high && !any; h += box.height.step)
        any = box.takes({w, h});
    }
    const Pixels wish{1 + random(400), 1 + random(400)};
    const auto nearest = box.nearest(wish.width, wish.height);
    CAPTURE(i);
    CHECK(nearest.has_value() == any);
    if (nearest) {
      CHECK(box.takes(*nearest));
      CHECK(shape_lost(box, *nearest, static_cast<double>(wish.width) / wish.height) < 0.08);
    }
    found += any ? 1 : 0;
  }
  CHECK(found > 100);
}

TEST_CASE("a size that must change becomes one that every model can make") {
  PixelBox box;
  box.width.high = box.height.high = 1024;
  CHECK(box.nearest(2048, 1366) == Pixels{1024, 688});
  CHECK(box.nearest(1000, 683) == Pixels{1000, 683});
  PixelBox area;
  area.width.low = area.height.low = 256;
  area.width.high = area.height.high = 1024;
  area.min_area = 600'000;
  CHECK(area.nearest(512, 1024) == Pixels{586, 1024});
}
