// media_inputs.hpp: finds the inputs that take files.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "falproxy/profile.hpp"

namespace falproxy::inline v0::profile {

/// Required ones first, then in the order of Part, then in display order.
[[nodiscard]] std::vector<MediaInput> find_media(const schema::ModelSchema& schema,
                                                 std::optional<Medium> makes);

/// The medium that the words of a name speak of, the last one first; none: of none.
[[nodiscard]] std::optional<Medium> medium_in(const std::vector<std::string_view>& words) noexcept;
/// The medium that a description speaks of; of several the first of image, video and audio; none:
/// of none.
[[nodiscard]] std::optional<Medium> medium_told(std::string_view description);

/// `field` as an input for pictures of that part, as an operator says that it is; its member with
/// the address is looked for. None: it takes no address.
[[nodiscard]] std::optional<MediaInput> media_input(const schema::Field& field, Part part);

}  // namespace falproxy::inline v0::profile
