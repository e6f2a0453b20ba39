// members.hpp: the steps of reading a JSON body that other APIs take, too.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "falproxy/openai.hpp"
#include "falproxy/result.hpp"
#include "falproxy/wish.hpp"
#include "surfaces/openai_images/pictures.hpp"

namespace falproxy::inline v0::openai {

/// An object in which no name stands twice. Errors: invalid_json.
[[nodiscard]] Result<nlohmann::json> parse_members(std::string_view body,
                                                   const RequestLimits& limits);
/// No text holds NUL, and of a body of `body_size` bytes what is no picture is not too long; 0: its
/// length does not count.
[[nodiscard]] std::optional<Error> check_strings(const nlohmann::json& members,
                                                 std::size_t body_size,
                                                 const RequestLimits& limits);
/// Moves the pictures that stand in `members` under `name`, one or an array of them, into
/// `request`.
[[nodiscard]] std::optional<Error> take_pictures(nlohmann::json& members, const std::string& name,
                                                 const PictureReader& reader, Wish& request);
/// What is left of `members` once OpenAI's pictures are in `request`.
[[nodiscard]] std::optional<Error> read_rest(nlohmann::json& members, const PictureReader& reader,
                                             const RequestLimits& limits, Wish& request);

}  // namespace falproxy::inline v0::openai
