// members.hpp: what stands beside the messages of a request, and the wish that both make.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <vector>

#include "falproxy/codecs.hpp"
#include "falproxy/memory_budget.hpp"
#include "falproxy/result.hpp"
#include "falproxy/wish.hpp"
#include "surfaces/talk/talk.hpp"

namespace falproxy::inline v0::openai {

/// A picture is no JSON: `response_format`, or `text.format`, wants some. Errors:
/// unsupported_value.
[[nodiscard]] std::optional<Error> fault_of_form(const nlohmann::json& members,
                                                 std::string_view name);
/// A function is demanded, and will not be called. Errors: unsupported_parameter.
[[nodiscard]] std::optional<Error> fault_of_tool_choice(const nlohmann::json& members,
                                                        bool may_be_required = false);
/// What is for models that write. Of the rest every name is OpenAI's of images, or a model's own.
void drop_chat_fields(nlohmann::json& members);
/// Errors: invalid_type.
[[nodiscard]] std::optional<Error> read_model_and_stream(const nlohmann::json& members, Wish& wish);

struct TalkWish {
  Wish wish;
  std::vector<InputFile> earlier;
};
/// Takes `talk` and `members` apart. Errors: as parse_json().
[[nodiscard]] Result<TalkWish> read_talk_wish(Talk& talk, nlohmann::json& members,
                                              const RequestLimits& limits, const Codecs& codecs,
                                              MemoryBudget* memory);

}  // namespace falproxy::inline v0::openai
