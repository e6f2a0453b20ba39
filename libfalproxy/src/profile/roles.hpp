// roles.hpp: which input plays which part, whatever it is called.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "falproxy/profile.hpp"

namespace falproxy::inline v0::profile {

/// By "prompt", "n", "output_format", ...: how requests and operators call it.
[[nodiscard]] std::optional<Role> role_named(std::string_view name) noexcept;

/// `media` are no texts, whatever their types say.
[[nodiscard]] std::vector<RoleInput> find_roles(const schema::ModelSchema& schema,
                                                std::optional<Medium> makes,
                                                const std::vector<MediaInput>& media);

/// Of an input for the length.
[[nodiscard]] LengthUnit length_unit(std::string_view name);
/// Its description counts if its name leaves it open ("video_length").
[[nodiscard]] LengthUnit length_unit(const schema::Field& field);

}  // namespace falproxy::inline v0::profile
