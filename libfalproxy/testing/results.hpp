// results.hpp: what a model answers, told from its document and the input: how many pictures, how
// large, in which shape.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "documents.hpp"
#include "pictures.hpp"

namespace falproxy::inline v0::testing {

/// The pictures that `input` asks of `model`.
struct PicturePlan {
  std::vector<Picture> pictures;
  bool data_uri = false;  ///< sync_mode
  bool flagged = false;   ///< the prompt says "nsfw", and the model looks for it
};
[[nodiscard]] PicturePlan plan_pictures(const Model& model, const nlohmann::json& input,
                                        std::int64_t seed);

/// The seed of the input, or `otherwise`.
[[nodiscard]] std::int64_t seed_of(const nlohmann::json& input, std::int64_t otherwise);
/// The prompt of the input; empty: none.
[[nodiscard]] std::string prompt_of(const nlohmann::json& input);

struct ResultFacts {
  std::int64_t seed = 0;
  double inference_seconds = 0;
};
/// The result as the model writes it. `address` gives the URL (or data URI) of picture i.
[[nodiscard]] nlohmann::json write_result(
    const Model& model, const nlohmann::json& input, const PicturePlan& plan,
    const ResultFacts& facts,
    const std::function<std::string(const Picture&, std::size_t)>& address);

}  // namespace falproxy::inline v0::testing
