#include <algorithm>
#include <array>
#include <utility>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "falproxy/openai_chat.hpp"
#include "json/access.hpp"
#include "surfaces/openai_images/members.hpp"
#include "surfaces/openai_images/pictures.hpp"
#include "surfaces/talk/members.hpp"
#include "surfaces/talk/talk.hpp"
#include "wish/wording.hpp"

namespace falproxy::inline v0::openai {

using namespace wording;
namespace {

using Raw = nlohmann::json;

constexpr const char* messages_name = "messages";

// OpenRouter's words for what pictures are to be like.
void take_image_config(Raw& members) {
  const auto found = members.find("image_config");
  if (found == members.end()) return;
  const Raw config = std::move(*found);
  members.erase(found);
  const auto give = [&](const char* from, const char* to) {
    const Raw* const value = member_of(config, from);
    if (value != nullptr && value->is_string() && member_of(members, to) == nullptr)
      members[to] = *value;
  };
  give("aspect_ratio", "aspect_ratio");
  give("image_size", "resolution");
}

bool asks_for_image(const Raw& members) {
  const Raw* const modalities = member_of(members, "modalities");
  return modalities != nullptr && modalities->is_array() &&
         std::ranges::any_of(*modalities, [](const Raw& one) { return one == "image"; });
}

bool asks_for_usage(const Raw& members) {
  const Raw* const options = member_of(members, "stream_options");
  const Raw* const asked = options == nullptr ? nullptr : member_of(*options, "include_usage");
  return asked != nullptr && asked->is_boolean() && asked->get<bool>();
}

}  // namespace

Result<ChatRequest> parse_chat(std::string_view body, const RequestLimits& limits,
                               const Codecs& codecs, MemoryBudget* memory,
                               const std::function<bool(std::string_view)>& is_ours) {
  Result<Raw> members = parse_members(body, limits);
  if (!members) return std::move(members).error();
  const auto found = members->find(messages_name);
  if (found == members->end() || found->is_null()) return missing_parameter(messages_name);
  if (!found->is_array())
    return invalid_type(messages_name, "an array", Json::Access::wrap(std::move(*found)));
  Raw messages = std::move(*found);
  members->erase(found);
  Result<Talk> talk = read_talk(messages, messages_name, limits, is_ours);
  if (!talk) return std::move(talk).error();

  ChatRequest request;
  request.leftovers = std::move(talk->leftovers);
  request.chore = find_chore(*talk, *members);
  if (request.chore.has_value()) {
    if (auto fault = read_model_and_stream(*members, request.wish)) return *std::move(fault);
    request.include_usage = asks_for_usage(*members);
    return request;
  }
  if (auto fault = fault_of_prompt(*talk, messages_name, limits)) return *std::move(fault);
  if (auto fault = fault_of_form(*members, "response_format")) return *std::move(fault);
  if (auto fault = fault_of_tool_choice(*members)) return *std::move(fault);
  request.asks_for_image = asks_for_image(*members);
  request.include_usage = asks_for_usage(*members);
  take_image_config(*members);
  drop_chat_fields(*members);
  if (std::ranges::any_of(talk->systems, [](const std::string& text) { return !text.empty(); }))
    request.leftovers.emplace_back(messages_name, "system texts are not part of the prompt");
  Result<TalkWish> wish = read_talk_wish(*talk, *members, limits, codecs, memory);
  if (!wish) return talk_error(std::move(wish).error(), messages_name);
  request.wish = std::move(wish->wish);
  request.earlier = std::move(wish->earlier);
  request.choices = request.wish.n.value_or(1);
  return request;
}

}  // namespace falproxy::inline v0::openai
