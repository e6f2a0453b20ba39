#include "tariff.hpp"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <numeric>

namespace falproxy::inline v0::testing {
namespace {

using nlohmann::json;
using By = Tariff::By;

constexpr Tariff area{By::area, "megapixels", 0.025};
constexpr Tariff machine{By::machine, "compute seconds", 0.0009, 3};
// Some of the models of each kind have a tariff that is rarer.
constexpr Tariff for_pictures[] = {{By::pictures, "images", 0.04},
                                   {By::pictures, "images", 0.04},
                                   {By::pictures, "images", 0.04},
                                   {By::pictures, "images", 0.04},
                                   area,
                                   machine,
                                   {By::requests, "generations", 0.05}};
constexpr Tariff for_videos[] = {{By::seconds, "seconds", 0.1, 5},
                                 {By::requests, "videos", 0.35},
                                 {By::seconds, "video seconds", 0.07, 5},
                                 machine};
constexpr Tariff for_sounds[] = {{By::characters, "1000 characters", 0.05, 0.2},
                                 {By::seconds, "seconds", 0.0008, 10},
                                 {By::minutes, "minutes", 0.12, 0.2},
                                 {By::requests, "requests", 0.02}};

bool makes(const Model& model, const char* what) {
  const json& output = model.output();
  return output.is_object() && output.contains("properties") && output["properties"].contains(what);
}

template <std::size_t n>
const Tariff& pick(const Tariff (&rows)[n], std::string_view endpoint) {
  const auto sum = std::accumulate(
      endpoint.begin(), endpoint.end(), std::uint32_t{0},
      [](std::uint32_t before, char c) { return before * 31 + static_cast<unsigned char>(c); });
  return rows[sum % n];
}

// Code points of the text that is spoken, or asked for.
double characters_in(const json& input) {
  for (const char* name : {"text", "prompt"}) {
    if (!input.is_object() || !input.contains(name) || !input[name].is_string()) continue;
    const auto& text = input[name].get_ref<const std::string&>();
    return static_cast<double>(std::ranges::count_if(
        text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
  }
  return 0;
}

double megapixels_of(const std::vector<Picture>& pictures) {
  constexpr std::uint64_t megapixel = 1 << 20;
  std::uint64_t sum = 0;
  for (const Picture& picture : pictures)
    sum += (std::uint64_t{picture.width} * picture.height + megapixel - 1) / megapixel;
  return static_cast<double>(sum);
}

double seconds_of(const Made& made) {
  if (made.video) return made.video->seconds();
  return made.sound ? made.sound->milliseconds / 1000.0 : 0;
}

}  // namespace

const Tariff& tariff_of(const Model& model) {
  if (makes(model, "chunks")) return machine;
  if (makes(model, "audio")) return pick(for_sounds, model.endpoint());
  if (makes(model, "video")) return pick(for_videos, model.endpoint());
  if (model.endpoint().find("flux") != std::string::npos) return area;
  return pick(for_pictures, model.endpoint());
}

double billed_units(const Model& model, const json& input, const Made& made) {
  switch (tariff_of(model).by) {
    case By::pictures:
      return static_cast<double>(made.pictures.size());
    case By::area:
      return megapixels_of(made.pictures);
    case By::seconds:
      return seconds_of(made);
    case By::minutes:
      return seconds_of(made) / 60;
    case By::characters:
      return characters_in(input) / 1000;
    case By::requests:
      return 1;
    case By::machine:
      break;
  }
  return made.machine_seconds;
}

}  // namespace falproxy::inline v0::testing
