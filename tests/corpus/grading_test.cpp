// Grades the mapping over real documents: what it sends is judged by the document alone, by code
// that shares nothing with the library.
#include <doctest/doctest.h>

#include <cmath>
#include <iostream>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/fmt.hpp"
#include "falproxy/plan.hpp"
#include "falproxy/profile.hpp"
#include "support/payload_checker.hpp"
#include "support/shared_documents.hpp"

using namespace falproxy;
using Raw = nlohmann::json;
using shared_documents::Document;

namespace {

// ---- the document, read with no help from the library

Raw resolve(const Raw& document, Raw schema) {
  for (int steps = 0; steps < 20 && schema.is_object(); ++steps) {
    if (schema.contains("$ref")) {
      const std::string pointer = schema["$ref"].get<std::string>().substr(1);
      if (!document.contains(Raw::json_pointer(pointer))) return Raw::object();
      schema = document[Raw::json_pointer(pointer)];
    } else if (schema.contains("allOf") && schema["allOf"].size() == 1) {
      const Raw part = schema["allOf"][0];
      schema.erase("allOf");
      Raw whole = resolve(document, part);
      whole.update(schema);
      schema = whole;
    } else {
      break;
    }
  }
  return schema;
}

Raw input_of(const Raw& document) {
  for (const auto& path : document["paths"]) {
    if (!path.contains("post") || !path["post"].contains("requestBody")) continue;
    return resolve(document, path["post"]["requestBody"]["content"]["application/json"]["schema"]);
  }
  return Raw::object();
}

// The schema of one property and of its alternatives, null left out.
std::vector<Raw> alternatives(const Raw& document, const Raw& input, const std::string& name) {
  std::vector<Raw> all;
  if (!input.contains("properties") || !input["properties"].contains(name)) return all;
  const Raw schema = resolve(document, input["properties"][name]);
  if (!schema.contains("anyOf")) return {schema};
  for (const Raw& one : schema["anyOf"]) all.push_back(resolve(document, one));
  return all;
}

bool has(const Raw& input, const std::string& name) {
  return input.contains("properties") && input["properties"].contains(name);
}

std::set<std::string> words(const Raw& document, const Raw& input, const std::string& name) {
  std::set<std::string> all;
  for (const Raw& one : alternatives(document, input, name)) {
    if (!one.contains("enum")) continue;
    for (const Raw& word : one["enum"]) {
      if (word.is_string()) all.insert(word.get<std::string>());
    }
  }
  return all;
}

// ---- how good a size is

struct Size {
  double width, height;
};

std::optional<double> ratio_of(const std::string& word) {
  double width = 0;
  double height = 0;
  char rest = 0;
  if (std::sscanf(word.c_str(), "%lf:%lf%c", &width, &height, &rest) == 2) return width / height;
  if (std::sscanf(word.c_str(), "%lfx%lf%c", &width, &height, &rest) == 2) return width / height;
  static const std::map<std::string, double> presets = {
      {"square_hd", 1.0},         {"square", 1.0},
      {"portrait_4_3", 0.75},     {"portrait_16_9", 9.0 / 16},
      {"landscape_4_3", 4.0 / 3}, {"landscape_16_9", 16.0 / 9}};
  const auto found = presets.find(word);
  return found == presets.end() ? std::nullopt : std::optional(found->second);
}

std::string shown(const Size& size) { return fmt::format("{}x{}", size.width, size.height); }

// What is wrong with the size in `body`; empty: the model allows no better.
std::string size_fault(const Raw& document, const Raw& input, const Raw& body, const Size& wish) {
  for (const Raw& one : alternatives(document, input, "image_size")) {
    if (!one.contains("properties") || !one["properties"].contains("width")) continue;
    const Raw& size = body.value("image_size", Raw());
    const bool exact =
        size.is_object() && size["width"] == wish.width && size["height"] == wish.height;
    return exact ? "" : "image_size is not exactly " + shown(wish);
  }
  if (has(input, "width") && has(input, "height")) {
    const bool exact =
        body.value("width", Raw()) == wish.width && body.value("height", Raw()) == wish.height;
    return exact ? "" : "width and height are not exactly " + shown(wish);
  }
  for (const std::string name : {"image_size", "aspect_ratio"}) {
    std::set<std::string> listed = words(document, input, name);
    bool wrapped = false;
    bool free_text = false;
    for (const Raw& one : alternatives(document, input, name)) {
      if (one.contains("properties") && one["properties"].contains("ratio")) {
        wrapped = true;
        for (const Raw& word : resolve(document, one["properties"]["ratio"])["enum"])
          listed.insert(word);
      }
      free_text = free_text || (one.value("type", "") == "string" && !one.contains("enum"));
    }
    if (listed.empty() && !free_text) continue;
    if (!body.contains(name)) return name + " is missing";
    const Raw value = wrapped ? body[name]["ratio"] : body[name];
    const std::optional<double> sent = ratio_of(value.get<std::string>());
    if (!sent) return name + " is no shape: " + value.dump();
    const auto distance = [&](double ratio) {
      return std::abs(std::log(ratio * wish.height / wish.width));
    };
    if (free_text)
      return distance(*sent) < 1e-9 ? "" : name + " is not the exact shape: " + value.dump();
    for (const std::string& word : listed) {
      const std::optional<double> ratio = ratio_of(word);
      if (ratio && distance(*ratio) < distance(*sent) - 1e-9)
        return name + " could be " + word + ", not " + value.dump();
    }
    return "";
  }
  return "";
}

// ---- how many pictures a body asks for

int pictures(const Raw& document, const Raw& input, const Raw& body) {
  int count = 1;
  for (const std::string name :
       {"num_images", "max_images", "num_samples", "number_of_images", "num_results"}) {
    if (!has(input, name)) continue;
    const Raw schema = resolve(document, input["properties"][name]);
    count *= body.contains(name) ? body[name].get<int>() : schema.value("default", 1);
  }
  return count;
}

// ---- a requested format

std::string format_fault(const Raw& document, const Raw& input, const Raw& body,
                         const std::string& wish) {
  for (const std::string name : {"output_format", "format", "image_format"}) {
    for (const std::string& word : words(document, input, name)) {
      if (word != wish && !(wish == "jpeg" && word == "jpg")) continue;
      return body.value(name, Raw()) == word ? "" : name + " is not " + wish;
    }
  }
  return "";
}

struct Grades {
  int requests = 0;
  int bodies = 0;
  std::map<std::string, int> faults;
};

Wish request_of(const Size& size, int n, const std::string& format, const std::string& quality) {
  Wish request;
  request.prompt = "a lighthouse in a storm";
  request.size = {SizeWish::Kind::pixels, static_cast<std::uint32_t>(size.width),
                  static_cast<std::uint32_t>(size.height)};
  request.n = n;
  if (!format.empty()) request.output_format = format;
  if (!quality.empty()) request.quality = quality;
  return request;
}

profile::Profile profiled(const Document& document) {
  const auto model = profile::read_profile(document.text);
  if (!model) FAIL(fmt::format("{}: {}", document.name, model.error().message));
  return **model;
}

bool needs_only_a_prompt(const Raw& input) {
  if (!has(input, "prompt")) return false;
  for (const Raw& name : input.value("required", Raw::array())) {
    if (name != "prompt") return false;
  }
  return true;
}

void grade(const Document& document, Grades& grades) {
  const Raw input = input_of(document.json);
  const profile::Profile model = profiled(document);
  std::set<std::string> seen;
  for (const Size& size : {Size{1024, 1024}, Size{1792, 1024}, Size{1024, 1792}, Size{1536, 1024},
                           Size{512, 512}, Size{2048, 1152}, Size{256, 256}, Size{1000, 700}}) {
    for (const int n : {1, 4, 10}) {
      for (const std::string format : {"", "png", "jpeg", "webp"}) {
        for (const std::string quality : {"", "auto", "medium", "high", "hd"}) {
          ++grades.requests;
          const std::string what =
              fmt::format("{} {} n={} {} {}", document.name, shown(size), n, format, quality);
          CAPTURE(what);
          const auto plan = plan::make_plan(request_of(size, n, format, quality), model, {}, {});
          if (!plan) FAIL_CHECK(plan.error().message);
          if (!plan) continue;
          int total = 0;
          int promised = 0;
          for (const plan::JobInput& job : plan->jobs) {
            const std::string text = plan::render(job, {}, {}).str();
            const Raw body = Raw::parse(text);
            const int count = pictures(document.json, input, body);
            CHECK(count == job.images);
            total += count;
            promised += job.images;
            const std::string size_problem = size_fault(document.json, input, body, size);
            const std::string format_problem = format_fault(document.json, input, body, format);
            if (!size_problem.empty()) ++grades.faults["size"];
            if (!format_problem.empty()) ++grades.faults["format"];
            CHECK(size_problem == "");
            CHECK(format_problem == "");
            if (!seen.insert(text).second) continue;
            ++grades.bodies;
            const auto report = payload_checker::check_payload(document.json, body);
            if (!report.valid()) ++grades.faults["invalid"];
            if (!report.unknown.empty()) ++grades.faults["unknown field"];
            CHECK_MESSAGE(report.clean(), report.text());
          }
          if (total != n) ++grades.faults["n"];
          CHECK(total == n);
          CHECK(promised == n);
          CHECK(plan->n == n);
        }
      }
    }
  }
}

void tell(const std::string& what, std::size_t models, const Grades& grades) {
  std::cout << fmt::format("{}: {} models, {} requests, {} different bodies checked\n", what,
                           models, grades.requests, grades.bodies);
  for (const auto& [fault, count] : grades.faults)
    std::cout << fmt::format("  {}: {}\n", fault, count);
}

}  // namespace

TEST_CASE(
    "every real text-to-image model gets valid bodies, the best size, n pictures and the format") {
  for (const std::string folder : {"", "older"}) {
    Grades grades;
    std::size_t models = 0;
    for (const Document& document : shared_documents::read(folder)) {
      if (document.category != "text-to-image" || !needs_only_a_prompt(input_of(document.json)))
        continue;
      ++models;
      grade(document, grades);
    }
    if (models > 0)
      tell(folder.empty() ? "text-to-image" : "text-to-image, older documents", models, grades);
  }
}

TEST_CASE(
    "an edit with one picture is a valid body for every real model, or is refused with the "
    "reason") {
  for (const std::string folder : {"", "older"}) {
    std::map<std::string, std::vector<std::string>> refusals;
    Grades grades;
    std::size_t models = 0;
    for (const Document& document : shared_documents::read(folder)) {
      if (document.category != "image-to-image") continue;
      ++models;
      CAPTURE(document.name);
      const Raw input = input_of(document.json);
      const profile::Profile model = profiled(document);
      for (const int n : {1, 3}) {
        for (const bool with_size : {false, true}) {
          ++grades.requests;
          Wish request;
          request.intent = Intent::edit;
          request.prompt = "make it night";
          request.n = n;
          if (with_size) request.size = {SizeWish::Kind::pixels, 1536, 1024};
          request.images.push_back({"https://example.org/cat.png"});
          const auto plan = plan::make_plan(request, model, {}, {});
          if (!plan) {
            const Error& error = plan.error();
            // What is refused must be something that the document really requires, and that the
            // request really lacks.
            const bool known = error.kind == ErrorKind::missing_parameter ||
                               error.kind == ErrorKind::edit_unsupported;
            CHECK_MESSAGE(known, error.message);
            const bool named =
                error.field == "image" || error.field == "mask" || has(input, error.field);
            CHECK_MESSAGE(named, error.field);
            if (n == 1 && !with_size) refusals[error.message].push_back(document.name);
            continue;
          }
          for (const plan::JobInput& job : plan->jobs) {
            Body address(std::string("https://example.org/cat.png"));
            const Raw body = Raw::parse(plan::render(job, {address}, {}).str());
            ++grades.bodies;
            const auto report = payload_checker::check_payload(document.json, body);
            CHECK_MESSAGE(report.clean(), report.text());
            CHECK(body.dump().find("https://example.org/cat.png") != std::string::npos);
          }
        }
      }
    }
    if (models == 0) continue;
    tell(folder.empty() ? "edits" : "edits, older documents", models, grades);
    for (const auto& [reason, names] : refusals) {
      std::cout << fmt::format("  refused: {}\n", reason);
      for (const std::string& name : names) std::cout << fmt::format("    {}\n", name);
    }
  }
}

TEST_CASE("an edit with a mask is a valid body for every real model that takes one") {
  std::size_t models = 0;
  for (const Document& document : shared_documents::read()) {
    const auto model = profile::read_profile(document.text);
    if (!model || (*model)->makes != Medium::image) continue;
    const bool masks = std::ranges::any_of((*model)->media, [](const profile::MediaInput& input) {
      return input.part == profile::Part::mask && input.medium == Medium::image;
    });
    if (!masks) continue;
    ++models;
    CAPTURE(document.name);
    Wish request;
    request.intent = Intent::edit;
    request.prompt = "make it night";
    request.images.push_back({"https://example.org/cat.png"});
    request.mask = InputFile{"https://example.org/mask.png"};
    const auto plan = plan::make_plan(request, **model, {}, {});
    REQUIRE_MESSAGE(plan, plan.error().message);
    for (const plan::JobInput& job : plan->jobs) {
      const Raw body =
          Raw::parse(plan::render(job, {Body(std::string("https://example.org/cat.png"))},
                                  Body(std::string("https://example.org/mask.png")))
                         .str());
      const auto report = payload_checker::check_payload(document.json, body);
      CHECK_MESSAGE(report.clean(), report.text());
      CHECK(body.dump().find("mask.png") != std::string::npos);
    }
  }
  if (models > 0) std::cout << fmt::format("masks: {} models\n", models);
}

TEST_CASE("whatever the model makes, a request is a valid body for it or is refused") {
  Grades grades;
  std::size_t models = 0;
  for (const Document& document : shared_documents::read()) {
    const auto model = profile::read_profile(document.text);
    if (!model) continue;
    ++models;
    CAPTURE(document.name);
    for (const int images : {0, 1, 2}) {
      Wish request = request_of({1024, 1024}, 2, "png", "high");
      request.style = "vivid";
      request.background = "transparent";
      request.moderation = "low";
      request.output_compression = 80;
      request.user = "somebody";
      if (images > 0) {
        request.intent = Intent::edit;
        request.input_fidelity = "high";
      }
      for (int i = 0; i < images; ++i) request.images.push_back({"https://example.org/cat.png"});
      request.native.emplace_back("seconds", Json::string("8"));
      request.native.emplace_back("seed", Json::integer(7));
      if (images == 2) request.size_word = "2K";
      ++grades.requests;
      const auto plan = plan::make_plan(request, **model, {}, {});
      if (!plan) {
        CHECK_FALSE(plan.error().message.empty());
        CHECK_FALSE(plan.error().field.empty());
        continue;
      }
      const auto again = plan::make_plan(request, **model, {}, {});
      CHECK(plan::explain(*plan).dump() == plan::explain(*again).dump());
      for (const plan::JobInput& job : plan->jobs) {
        ++grades.bodies;
        const Body address(std::string("https://example.org/cat.png"));
        const Raw body = Raw::parse(plan::render(job, {address, address}, {}).str());
        const auto report = payload_checker::check_payload(document.json, body);
        CHECK_MESSAGE(report.clean(), report.text());
      }
    }
  }
  if (models > 0) tell("all documents", models, grades);
}
