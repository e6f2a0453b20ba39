// models.hpp: small models for the tests of this room, and requests onto them.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/fmt.hpp"
#include "falproxy/plan.hpp"
#include "schema/documents.hpp"

namespace models {

using falproxy::Intent;
using falproxy::Json;
using falproxy::ModelSettings;
using falproxy::Result;
using falproxy::SizeWish;
using falproxy::Wish;
using falproxy::plan::Options;
using falproxy::plan::Plan;
using falproxy::profile::Profile;

// Inputs as fal's documents write them.
constexpr std::string_view free_size =
    R"("image_size": {"anyOf": [{"type": "object", "properties": {
        "width": {"type": "integer", "exclusiveMinimum": 0, "maximum": 14142, "default": 512},
        "height": {"type": "integer", "exclusiveMinimum": 0, "maximum": 14142, "default": 512}}},
       {"type": "string", "enum": ["square_hd", "square", "portrait_4_3", "portrait_16_9",
        "landscape_4_3", "landscape_16_9"]}], "default": "landscape_4_3"})";
constexpr std::string_view openai_sizes =
    R"("image_size": {"type": "string", "enum": ["auto", "1024x1024", "1536x1024", "1024x1536"],
       "default": "auto"})";
constexpr std::string_view ratios =
    R"("aspect_ratio": {"type": "string", "default": "1:1",
       "enum": ["21:9", "16:9", "3:2", "4:3", "5:4", "1:1", "4:5", "3:4", "2:3", "9:16"]})";
constexpr std::string_view tiers =
    R"("resolution": {"type": "string", "enum": ["1K", "2K", "4K"], "default": "1K"})";
constexpr std::string_view four_images =
    R"("num_images": {"type": "integer", "minimum": 1, "maximum": 4, "default": 1})";
constexpr std::string_view seed = R"("seed": {"type": "integer"})";
constexpr std::string_view prompt = R"("prompt": {"type": "string"})";
constexpr std::string_view one_image =
    R"("image_url": {"type": "string", "description": "URL of the image to edit"})";
constexpr std::string_view many_images =
    R"("image_urls": {"type": "array", "items": {"type": "string"}, "maxItems": 3})";

/// A model with a prompt and these inputs; `required` is the text of a JSON array.
inline Profile with(const std::vector<std::string_view>& inputs,
                    std::string_view required = R"(["prompt"])") {
  std::string properties(prompt);
  for (const std::string_view input : inputs) {
    if (input.starts_with(R"("prompt")")) {
      properties =
          std::string(input) + (properties == prompt ? "" : properties.substr(prompt.size()));
    } else {
      properties += fmt::format(", {}", input);
    }
  }
  return documents::profiled(documents::with_input(fmt::format(
      R"({{"type": "object", "properties": {{{}}}, "required": {}}})", properties, required)));
}

/// A model with exactly these inputs.
inline Profile of(std::string_view properties, std::string_view required = "[]") {
  return documents::profiled(documents::with_input(fmt::format(
      R"({{"type": "object", "properties": {{{}}}, "required": {}}})", properties, required)));
}

inline Wish generation(std::string prompt_text = "a lighthouse") {
  Wish request;
  request.prompt = std::move(prompt_text);
  return request;
}
inline Wish edit(std::size_t images = 1) {
  Wish request = generation("make it night");
  request.intent = Intent::edit;
  for (std::size_t i = 0; i < images; ++i) {
    request.images.push_back({fmt::format("https://example.org/{}.png", i + 1)});
  }
  return request;
}
inline SizeWish pixels(std::uint32_t width, std::uint32_t height) {
  return {SizeWish::Kind::pixels, width, height};
}
inline SizeWish ratio(std::uint32_t width, std::uint32_t height) {
  return {SizeWish::Kind::ratio, width, height};
}
inline SizeWish automatic() { return {SizeWish::Kind::automatic, 0, 0}; }

/// Native fields, from the text of a JSON object.
inline std::vector<std::pair<std::string, Json>> fields(std::string_view text) {
  const Json object = *Json::parse(text);
  std::vector<std::pair<std::string, Json>> all;
  for (const std::string_view name : object.keys()) all.emplace_back(name, *object.find(name));
  return all;
}

inline Result<Plan> map(const Wish& request, const Profile& profile,
                        const ModelSettings& settings = {}, const Options& options = {},
                        std::optional<double> chance = std::nullopt) {
  return falproxy::plan::make_plan(request, profile, settings, options, chance);
}
inline Plan plan_of(const Wish& request, const Profile& profile, const ModelSettings& settings = {},
                    const Options& options = {}, std::optional<double> chance = std::nullopt) {
  Result<Plan> mapped = map(request, profile, settings, options, chance);
  if (!mapped) FAIL(mapped.error().message);
  return *std::move(mapped);
}

/// What the first job sends, without the prompt, as JSON text.
inline std::string sent(const Plan& plan, std::size_t job = 0) {
  REQUIRE(job < plan.jobs.size());
  auto input = nlohmann::json::parse(plan.jobs[job].input.dump());
  input.erase("prompt");
  return input.dump();
}
/// One property of the first job; "" where it is not sent.
inline std::string sent(const Plan& plan, std::string_view property) {
  const auto value = plan.jobs.at(0).input.find(property);
  return value ? value->dump() : "";
}

inline bool has_note(const Plan& plan, std::string_view field, std::string_view part = "") {
  return std::ranges::any_of(plan.notes, [&](const auto& note) {
    return note.field == field && note.text.find(part) != std::string::npos;
  });
}
/// The note of that field; "" where there is none.
inline std::string note(const Plan& plan, std::string_view field) {
  const auto found = std::ranges::find(plan.notes, field, &falproxy::plan::Note::field);
  return found == plan.notes.end() ? "" : found->text;
}

}  // namespace models
