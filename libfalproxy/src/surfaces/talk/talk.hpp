// talk.hpp: what a list of messages says: the last words of the user, and what was shown before.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/openai_chat.hpp"
#include "falproxy/result.hpp"

namespace falproxy::inline v0::openai {

/// More than so many are told nobody.
inline constexpr std::size_t most_leftovers = 10;

struct Talk {
  std::string prompt;                     ///< the text of the last user message
  nlohmann::json pictures;                ///< an array: those of the last user message
  nlohmann::json earlier;                 ///< an array: those of the answer just before
  std::string before;                     ///< the text of the user message before the last
  std::vector<std::string> systems = {};  ///< texts of system and developer messages
  bool ends_with_system = false;
  std::size_t users = 0, answers = 0;  ///< messages
  std::vector<Leftover> leftovers = {};
};

/// `messages` with `content` of text or parts, as chat and Responses have them; pictures are moved
/// out of it. Of pictures that Markdown shows there are as many as a request may have. Errors: of
/// the field `name`: missing_parameter, invalid_type, unsupported_parameter.
[[nodiscard]] Result<Talk> read_talk(nlohmann::json& messages, std::string_view name,
                                     const RequestLimits& limits,
                                     const std::function<bool(std::string_view)>& is_ours);

/// There is something to draw.
[[nodiscard]] std::optional<Error> fault_of_prompt(const Talk& talk, std::string_view name,
                                                   const RequestLimits& limits);

/// What was asked beside what a user says. `members`: the rest of the request.
[[nodiscard]] std::optional<Chore> find_chore(const Talk& talk, const nlohmann::json& members);

/// An address in Markdown as it is written: ![alt](address). Ends if `take` returns false.
void for_each_shown(std::string_view markdown, const std::function<bool(std::string_view)>& take);

}  // namespace falproxy::inline v0::openai
