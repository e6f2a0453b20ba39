// Speech, sounds and transcripts over real documents: each plan is a valid body for its document.
#include <doctest/doctest.h>

#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "base/fmt.hpp"
#include "falproxy/plan.hpp"
#include "falproxy/profile.hpp"
#include "support/payload_checker.hpp"
#include "support/shared_documents.hpp"

using namespace falproxy;

namespace {

using SoundRaw = nlohmann::json;

struct SoundTally {
  int requests = 0, bodies = 0;
  std::map<std::string, std::vector<std::string>> refused;
};

void check_sound_plan(const shared_documents::Document& document, const profile::Profile& model,
                      const Wish& wish, SoundTally& tally) {
  ++tally.requests;
  const auto plan = plan::make_plan(wish, model, {}, {});
  if (!plan) {
    CHECK_FALSE(plan.error().field.empty());
    auto& names = tally.refused[plan.error().field];
    if (std::ranges::find(names, document.name) == names.end()) names.push_back(document.name);
    return;
  }
  for (const plan::JobInput& job : plan->jobs) {
    ++tally.bodies;
    const Body address(std::string("https://example.org/a.wav"));
    const SoundRaw body = SoundRaw::parse(plan::render(job, {address}, {}).str());
    const auto report = payload_checker::check_payload(document.json, body);
    CHECK_MESSAGE(report.clean(), report.text());
    if (wish.makes == Medium::audio) CHECK(body.dump().find("Good morning") != std::string::npos);
    if (wish.makes == Medium::text) CHECK(body.dump().find("example.org") != std::string::npos);
  }
}

void tell_sound(std::string_view what, int models, const SoundTally& tally) {
  // Most are answered: a mapping that refuses all would be valid, too.
  CHECK(tally.bodies * 3 >= tally.requests);
  std::cout << fmt::format("{}: {} models, {} requests, {} bodies\n", what, models, tally.requests,
                           tally.bodies);
  for (const auto& [field, names] : tally.refused) {
    std::cout << fmt::format("  refused on {}:\n", field);
    for (const std::string& name : names) std::cout << fmt::format("    {}\n", name);
  }
}

}  // namespace

TEST_CASE("every real model of speech and sound gets a valid body with the text in it") {
  SoundTally tally;
  int models = 0;
  for (const auto& document : shared_documents::read()) {
    if (document.category != "text-to-speech" && document.category != "text-to-audio") continue;
    const auto model = profile::read_profile(document.text);
    REQUIRE(model);
    ++models;
    CAPTURE(document.name);
    for (const char* voice : {"", "alloy", "nova", "marin"}) {
      for (const char* format : {"", "mp3", "wav", "pcm", "opus", "aac", "flac"}) {
        for (const double speed : {0.25, 1.0, 1.5, 4.0}) {
          Wish wish{.makes = Medium::audio, .model = "m", .prompt = "Good morning"};
          if (*voice != '\0') wish.voice = voice;
          if (*format != '\0') wish.output_format = format;
          wish.speed = speed;
          wish.instructions = "cheerfully";
          if (speed > 1) wish.language = "en";
          check_sound_plan(document, **model, wish, tally);
        }
      }
    }
  }
  if (models > 0) tell_sound("speech and sound", models, tally);
}

TEST_CASE("every real model that listens gets a valid body with the file in it") {
  SoundTally tally;
  int models = 0;
  for (const auto& document : shared_documents::read()) {
    if (document.category != "speech-to-text" && document.category != "audio-to-text") continue;
    const auto model = profile::read_profile(document.text);
    REQUIRE(model);
    ++models;
    CAPTURE(document.name);
    for (const Times times : {Times::none, Times::segments, Times::words}) {
      for (const char* language : {"", "en", "eng", "German"}) {
        for (const int more : {0, 1, 2, 3}) {
          Wish wish{.makes = Medium::text, .model = "m"};
          if (*language != '\0') wish.language = language;
          wish.times = times;
          wish.needs_times = times != Times::none && more == 1;
          wish.speakers = more == 2;
          wish.translate = more == 3;
          if (more == 1) wish.prompt = "fal.ai";
          wish.images.push_back({.url = "https://example.org/a.wav", .medium = Medium::audio});
          check_sound_plan(document, **model, wish, tally);
        }
      }
    }
  }
  if (models > 0) tell_sound("transcripts", models, tally);
}
