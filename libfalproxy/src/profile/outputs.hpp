// outputs.hpp: what a result holds, and where.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "falproxy/profile.hpp"

namespace falproxy::inline v0::profile {

struct Outputs {
  std::optional<Medium> makes;
  std::vector<Output> main, beside;
  std::string times;
};

/// Told by the document's outputs; where it describes none, by its category.
[[nodiscard]] Outputs find_outputs(const schema::ModelSchema& schema);

}  // namespace falproxy::inline v0::profile
