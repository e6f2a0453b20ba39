#include "profile/size_terms.hpp"

#include <doctest/doctest.h>

#include <string_view>
#include <vector>

using namespace falproxy;
using profile::Pixels;
using profile::read_size_term;
using profile::SizeTerm;

TEST_CASE("presets and WxH strings name pixels") {
  struct Case {
    std::string_view word;
    Pixels pixels;
  };
  const std::vector<Case> cases = {
      {"square_hd", {1024, 1024}},
      {"square", {512, 512}},
      {"portrait_4_3", {768, 1024}},
      {"portrait_16_9", {576, 1024}},
      {"landscape_4_3", {1024, 768}},
      {"landscape_16_9", {1024, 576}},
      {"1024x768", {1024, 768}},
      {"1024X768", {1024, 768}},
      {"1024*768", {1024, 768}},
      {"1152\xc3\x97"
       "896",
       {1152, 896}},
      {"1280:720", {1280, 720}},
      {"1024 x 768", {1024, 768}},
      {"1024x1024 (1:1)", {1024, 1024}},
      {"RESOLUTION_1024_768", {1024, 768}},
      {"Landscape (1536x1024)", {1536, 1024}},
      {"square 768x768", {768, 768}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.word);
    const SizeTerm term = read_size_term(c.word);
    REQUIRE(term.pixels);
    CHECK(*term.pixels == c.pixels);
    CHECK(*term.aspect == doctest::Approx(static_cast<double>(c.pixels.width) / c.pixels.height));
    CHECK(*term.area == doctest::Approx(static_cast<double>(c.pixels.width) * c.pixels.height));
  }
}

TEST_CASE("ratios name a shape and no pixels") {
  struct Case {
    std::string_view word;
    double aspect;
  };
  const std::vector<Case> cases = {
      {"16:9", 16.0 / 9},
      {"19.5:9", 19.5 / 9},
      {"9:19.5", 9 / 19.5},
      {"16/9", 16.0 / 9},
      {"16_9", 16.0 / 9},
      {"ASPECT_10_16", 0.625},
      {"4:3 (landscape)", 4.0 / 3},
      {"3x2", 1.5},
      {"portrait", 0.75},
      {"landscape_hd", 4.0 / 3},
      {"landscape_3_2", 1.5},
      {"square_2k", 1},
      {"Landscape (16:9)", 16.0 / 9},
      {"Portrait (9:16)", 9.0 / 16},
      {"Square (1:1)", 1},
      {"vertical", 0.75},
      {"widescreen", 16.0 / 9},
      {"landscape_16_9_2k", 16.0 / 9},
  };
  for (const Case& c : cases) {
    CAPTURE(c.word);
    const SizeTerm term = read_size_term(c.word);
    REQUIRE(term.aspect);
    CHECK(*term.aspect == doctest::Approx(c.aspect));
    CHECK_FALSE(term.pixels);
  }
}

TEST_CASE("tiers name an area and no shape") {
  struct Case {
    std::string_view word;
    double area;
  };
  const std::vector<Case> cases = {
      {"1K", 1024.0 * 1024},     {"2k", 2048.0 * 2048},          {"0.5K", 512.0 * 512},
      {"4MP", 4096.0 * 1024},    {"720p", 1280.0 * 720},         {"1080P", 1920.0 * 1080},
      {"1024", 1024.0 * 1024},   {"480p", 480.0 * 480 * 16 / 9}, {"4 MP", 4096.0 * 1024},
      {"2048px", 2048.0 * 2048},
  };
  for (const Case& c : cases) {
    CAPTURE(c.word);
    const SizeTerm term = read_size_term(c.word);
    REQUIRE(term.area);
    CHECK(*term.area == doctest::Approx(c.area));
    CHECK_FALSE(term.aspect);
    CHECK_FALSE(term.automatic);
  }
}

TEST_CASE("a shape may come with an area") {
  const SizeTerm term = read_size_term(std::string_view("square_2k"));
  CHECK(term.aspect == 1.0);
  CHECK(term.area == 2048.0 * 2048);
  CHECK_FALSE(term.pixels);
}

TEST_CASE("words by which a model chooses by itself are told apart") {
  for (const std::string_view word :
       {"auto", "Auto", "match_input", "match_input_image", "original", "auto_2K"}) {
    CAPTURE(word);
    CHECK(read_size_term(word).automatic);
  }
  CHECK(read_size_term(std::string_view("auto_2K")).area);
  CHECK_FALSE(read_size_term(std::string_view("auto")).area);
  CHECK_FALSE(read_size_term(std::string_view("autumn")).automatic);
}

TEST_CASE("words that are no sizes say nothing") {
  for (const std::string_view word :
       {"", "custom", "none", "x", ":", "1:", ":1", "0:0", "0x1024", "1e9", "99999999999", "16:0",
        "a sentence that is much too long to be the name of a size", "\xff\xfe", "5"}) {
    CAPTURE(word);
    CHECK(read_size_term(word).says_nothing());
  }
}

TEST_CASE("objects, arrays and numbers are read as sizes") {
  CHECK(read_size_term(*Json::parse(R"({"width": 2048, "height": 1024})")).pixels ==
        Pixels{2048, 1024});
  CHECK(read_size_term(*Json::parse("[1200, 800]")).pixels == Pixels{1200, 800});
  CHECK(read_size_term(*Json::parse("1024")).area == doctest::Approx(1024.0 * 1024));
  for (const std::string_view text :
       {"null", "{}", "[]", "[1,2,3]", R"({"width": 5})", "-1", "true", R"([0, 5])",
        R"({"width": "5", "height": 4})", "1e300"}) {
    CAPTURE(text);
    CHECK(read_size_term(*Json::parse(text)).says_nothing());
  }
}
