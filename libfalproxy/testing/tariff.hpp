// tariff.hpp: the prices that the desk invents, one for each kind of unit, and what it bills by
// them: counted from the files that it has made, by code that knows nothing of who estimates.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "documents.hpp"
#include "pictures.hpp"
#include "sounds.hpp"
#include "videos.hpp"

namespace falproxy::inline v0::testing {

struct Tariff {
  /// What is counted.
  enum class By { pictures, area, seconds, minutes, characters, requests, machine };
  By by = By::pictures;
  std::string_view unit;   ///< in fal's words
  double price = 0;        ///< US dollars for one
  double usual_units = 1;  ///< of one request
  [[nodiscard]] double usual_cost() const noexcept { return price * usual_units; }
};

/// By what a model makes, and among models that make the same by their ids.
[[nodiscard]] const Tariff& tariff_of(const Model& model);

/// The files of one job.
struct Made {
  std::vector<Picture> pictures = {};
  std::optional<Video> video = {};
  std::optional<Sound> sound = {};
  double machine_seconds = 0;
};
/// In units of the model's tariff.
[[nodiscard]] double billed_units(const Model& model, const nlohmann::json& input,
                                  const Made& made);

}  // namespace falproxy::inline v0::testing
