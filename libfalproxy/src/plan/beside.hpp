// beside.hpp: what a model makes beside a video: a picture of it, and one of its scenes.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "plan/result_text.hpp"

namespace falproxy::inline v0::plan {

/// The address that a result has under a name of that list of the vocabulary's outputs; empty: it
/// has none.
[[nodiscard]] std::string address_beside(const ResultText& result, std::string_view list);

/// The address of a picture of a video's scenes, in a result as fal gave it; empty: it has none.
[[nodiscard]] std::string spritesheet_of(std::shared_ptr<const std::string> result);

}  // namespace falproxy::inline v0::plan
