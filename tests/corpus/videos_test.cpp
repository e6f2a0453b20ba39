// Grades the mapping of videos over real documents: length, size and picture are judged by the
// document alone, by code that shares nothing with the library.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdio>
#include <iostream>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/fmt.hpp"
#include "falproxy/openai_videos.hpp"
#include "falproxy/plan.hpp"
#include "falproxy/profile.hpp"
#include "support/payload_checker.hpp"
#include "support/shared_documents.hpp"

namespace falproxy {
namespace {

using VideoRaw = nlohmann::json;
using shared_documents::Document;

// The input with every reference resolved that an input may have.
VideoRaw flat(const VideoRaw& document, VideoRaw schema) {
  if (schema.contains("$ref")) {
    const std::string at = schema["$ref"].get<std::string>().substr(1);
    schema.erase("$ref");
    VideoRaw whole = flat(document, document[VideoRaw::json_pointer(at)]);
    whole.update(schema);
    return whole;
  }
  for (const char* several : {"allOf", "anyOf"}) {
    if (!schema.contains(several)) continue;
    const VideoRaw parts = schema[several];
    schema.erase(several);
    for (const VideoRaw& part : parts) {
      VideoRaw whole = flat(document, part);
      if (whole.value("type", "") == "null") continue;
      whole.update(schema);
      schema = whole;
    }
  }
  return schema;
}

VideoRaw body_schema(const VideoRaw& document) {
  for (const auto& path : document["paths"]) {
    if (!path.contains("post")) continue;
    VideoRaw input =
        flat(document, path["post"]["requestBody"]["content"]["application/json"]["schema"]);
    for (VideoRaw& property : input["properties"]) property = flat(document, property);
    return input;
  }
  return VideoRaw::object();
}

std::optional<double> number_in(const VideoRaw& value) {
  if (value.is_number()) return value.get<double>();
  if (!value.is_string()) return std::nullopt;
  double number = 0;
  char unit = 0;
  char rest = 0;
  const int read = std::sscanf(value.get<std::string>().c_str(), "%lf%c%c", &number, &unit, &rest);
  if (read == 1 || (read == 2 && unit == 's')) return number;
  return std::nullopt;
}

// What `duration` takes; empty: it is not there, or no list.
std::vector<double> listed_lengths(const VideoRaw& input) {
  std::vector<double> lengths;
  if (!input["properties"].contains("duration")) return lengths;
  const VideoRaw duration = input["properties"]["duration"];
  for (const VideoRaw& value : duration.value("enum", VideoRaw::array())) {
    if (const auto length = number_in(value)) lengths.push_back(*length);
  }
  return lengths;
}

double nearest_of(const std::vector<double>& lengths, double wanted) {
  double best = lengths.front();
  for (const double length : lengths) {
    const double a = std::abs(length - wanted);
    const double b = std::abs(best - wanted);
    if (a < b || (a == b && length < best)) best = length;
  }
  return best;
}

std::optional<double> shape_of(const VideoRaw& word) {
  double width = 0;
  double height = 0;
  char rest = 0;
  if (!word.is_string()) return std::nullopt;
  if (std::sscanf(word.get<std::string>().c_str(), "%lf:%lf%c", &width, &height, &rest) != 2)
    return std::nullopt;
  return width / height;
}

std::optional<double> lines_of(const VideoRaw& word) {
  double lines = 0;
  char unit = 0;
  char rest = 0;
  if (!word.is_string()) return std::nullopt;
  if (std::sscanf(word.get<std::string>().c_str(), "%lf%c%c", &lines, &unit, &rest) != 2)
    return std::nullopt;
  if (unit == 'p' || unit == 'P') return lines;
  if (unit == 'k' || unit == 'K') return lines == 4 ? 2160 : lines == 2 ? 1440 : 0;
  return std::nullopt;
}

// What is wrong with shape and tier; empty: the model allows no better.
std::string size_fault_of_video(const VideoRaw& input, const VideoRaw& body, double width,
                                double height) {
  const VideoRaw& properties = input["properties"];
  const double asked = width / height;
  double sent_shape = asked;
  if (properties.contains("aspect_ratio") && properties["aspect_ratio"].contains("enum")) {
    const auto sent = shape_of(body.value("aspect_ratio", VideoRaw()));
    double best = 1e9;
    for (const VideoRaw& word : properties["aspect_ratio"]["enum"]) {
      if (const auto shape = shape_of(word))
        best = std::min(best, std::abs(std::log(*shape / asked)));
    }
    if (best < 1e9) {
      if (!sent) return "no aspect_ratio was sent";
      if (std::abs(std::log(*sent / asked)) > best + 1e-9)
        return "aspect_ratio is " + body["aspect_ratio"].dump();
      sent_shape = *sent;
    }
  }
  if (!properties.contains("resolution") || !properties["resolution"].contains("enum")) return "";
  const auto distance = [&](double lines) {
    const double area = lines * lines * std::max(sent_shape, 1 / sent_shape);
    return std::abs(std::log(area / (width * height)));
  };
  double best = 1e9;
  for (const VideoRaw& word : properties["resolution"]["enum"]) {
    if (const auto lines = lines_of(word)) best = std::min(best, distance(*lines));
  }
  if (best == 1e9) return "";
  const auto sent = lines_of(body.value("resolution", VideoRaw()));
  if (!sent) return "no resolution was sent";
  return distance(*sent) > best + 1e-9 ? "resolution is " + body["resolution"].dump() : "";
}

Wish video_wish(double seconds, std::uint32_t width, std::uint32_t height) {
  Wish wish;
  wish.makes = Medium::video;
  wish.model = "a-model";
  wish.prompt = "a lighthouse";
  wish.seconds = seconds;
  wish.size = {SizeWish::Kind::pixels, width, height};
  return wish;
}

struct VideoCase {
  double seconds;
  std::uint32_t width, height;
};
constexpr VideoCase video_cases[] = {{4, 1280, 720},  {5, 720, 1280},   {6, 1024, 1024},
                                     {8, 1920, 1080}, {10, 1792, 1024}, {20, 854, 480}};

// Whether nothing but the prompt, the picture and what has a default is required.
std::set<std::string> required_of(const VideoRaw& input) {
  std::set<std::string> names;
  for (const VideoRaw& name : input.value("required", VideoRaw::array()))
    names.insert(name.get<std::string>());
  return names;
}

void grade(const Document& document, bool with_picture, std::map<std::string, int>& refused,
           int& answered) {
  const auto profile = profile::read_profile(document.text);
  REQUIRE(profile);
  const VideoRaw input = body_schema(document.json);
  const std::vector<double> lengths = listed_lengths(input);
  for (const VideoCase& c : video_cases) {
    CAPTURE(document.name);
    CAPTURE(c.seconds);
    CAPTURE(c.width);
    Wish wish = video_wish(c.seconds, c.width, c.height);
    const std::string picture = "https://example.com/picture.png";
    if (with_picture) wish.images.push_back({.url = picture});
    const Result<plan::Plan> plan = plan::make_plan(wish, **profile, {}, {});
    if (!plan) {
      const Error& error = plan.error();
      CAPTURE(error.message);
      ++refused[error.field];
      if (error.field == "seconds") {
        if (!lengths.empty()) {
          const double best = nearest_of(lengths, c.seconds);
          CHECK(std::max(best / c.seconds, c.seconds / best) > 1.5);
        }
      } else {
        // A required input without a counterpart, or a picture that has no place.
        const bool is_named = required_of(input).contains(error.field);
        CHECK((is_named || error.field == "image" || error.field == "prompt"));
      }
      continue;
    }
    ++answered;
    REQUIRE(plan->jobs.size() == 1);
    const std::vector<Body> addresses(wish.images.size(), Body(picture));
    const std::string text = plan::render(plan->jobs[0], addresses, Body()).str();
    const VideoRaw body = VideoRaw::parse(text);
    CAPTURE(text);
    const auto report = payload_checker::check_payload(document.json, body);
    CHECK_MESSAGE(report.clean(), report.text());
    if (!lengths.empty()) {
      const double best = nearest_of(lengths, c.seconds);
      CHECK(std::max(best / c.seconds, c.seconds / best) <= 1.5 + 1e-9);
      CHECK(number_in(body.value("duration", VideoRaw())) == best);
      CHECK(plan->seconds == best);
    }
    const std::string fault = size_fault_of_video(input, body, c.width, c.height);
    CHECK_MESSAGE(fault.empty(), fault);
    if (with_picture) {
      CHECK(text.find(picture) != std::string::npos);
      for (auto member = body.begin(); member != body.end(); ++member) {
        const std::string& name = member.key();
        const bool is_end =
            name.starts_with("end_") || name.starts_with("last_") || name.starts_with("tail_") ||
            name.find("mask") != std::string::npos ||
            (name.find("keyframe") != std::string::npos && !required_of(input).contains(name));
        CHECK_FALSE((is_end && member->dump().find(picture) != std::string::npos));
      }
    }
  }
}

void grade_all(const std::string& category, bool with_picture) {
  std::map<std::string, int> refused;
  int answered = 0;
  int documents = 0;
  for (const Document& document : shared_documents::read()) {
    if (document.category != category) continue;
    ++documents;
    grade(document, with_picture, refused, answered);
  }
  // Most are answered: a mapping that refuses all would be valid, too.
  CHECK(answered * 2 >= documents * 7);
  std::cout << category << ": " << documents << " documents, " << answered << " answered";
  for (const auto& [field, count] : refused) std::cout << ", " << count << " refused on " << field;
  std::cout << '\n';
}

}  // namespace

TEST_CASE("text becomes videos: valid, as long and as large as the model allows") {
  grade_all("text-to-video", false);
}

TEST_CASE(
    "a picture becomes a video: in the input that begins it, as long and as large as may be") {
  grade_all("image-to-video", true);
}

TEST_CASE("a picture for a model that takes none is refused, and never dropped") {
  for (const Document& document : shared_documents::read()) {
    if (document.category != "text-to-video") continue;
    CAPTURE(document.name);
    const auto profile = profile::read_profile(document.text);
    REQUIRE(profile);
    Wish wish = video_wish(5, 1280, 720);
    wish.seconds.reset();
    wish.images.push_back({.url = "https://example.com/picture.png"});
    const Result<plan::Plan> plan = plan::make_plan(wish, **profile, {}, {});
    if (plan) {
      REQUIRE_FALSE(plan->jobs.at(0).slots.empty());
      CHECK(plan->jobs[0].slots[0].property.find("keyframe") == std::string::npos);
    } else {
      const Error error = openai::video_error(plan.error());
      CHECK(error.message.find("'image'") == std::string::npos);
      if (plan.error().kind == ErrorKind::edit_unsupported) CHECK(error.field == "input_reference");
    }
  }
}

}  // namespace falproxy
