#include <algorithm>
#include <array>
#include <utility>

#include "base/fmt.hpp"
#include "falproxy/openai_responses.hpp"
#include "json/access.hpp"
#include "surfaces/openai_images/members.hpp"
#include "surfaces/talk/members.hpp"
#include "surfaces/talk/talk.hpp"
#include "wish/wording.hpp"

namespace falproxy::inline v0::openai {

using namespace wording;
namespace {

using Raw = nlohmann::json;

constexpr const char* input_name = "input";
constexpr std::string_view call_prefix = "ig_";

// What a response says again, with what OpenAI says where a request says nothing.
const Raw& usual_echo() {
  static const Raw usual{{"instructions", nullptr},
                         {"max_output_tokens", nullptr},
                         {"max_tool_calls", nullptr},
                         {"metadata", Raw::object()},
                         {"parallel_tool_calls", true},
                         {"previous_response_id", nullptr},
                         {"reasoning", {{"effort", nullptr}, {"summary", nullptr}}},
                         {"safety_identifier", nullptr},
                         {"service_tier", "default"},
                         {"store", true},
                         {"temperature", 1.0},
                         {"text", {{"format", {{"type", "text"}}}}},
                         {"tool_choice", "auto"},
                         {"tools", Raw::array()},
                         {"top_logprobs", 0},
                         {"top_p", 1.0},
                         {"truncation", "disabled"},
                         {"user", nullptr}};
  return usual;
}

// Each frame of a stream says all of it again: what is long, such as a mask, is not.
Json echo_of(const Raw& members) {
  constexpr std::size_t longest = 64u << 10;
  Raw echo = usual_echo();
  for (auto one = echo.begin(); one != echo.end(); ++one) {
    const Raw* const said = member_of(members, one.key());
    if (said != nullptr && dump_raw(*said).size() <= longest) *one = *said;
  }
  return Json::Access::wrap(std::move(echo));
}

Error unsupported(std::string_view name, std::string_view why) {
  return {ErrorKind::unsupported_parameter,
          fmt::format("Unsupported parameter: '{}'. {}", name, why), std::string(name)};
}

// Takes out what has no effect.
std::optional<Error> check_members(Raw& members) {
  if (const Raw* const background = member_of(members, "background");
      background != nullptr && background->is_boolean()) {
    if (background->get<bool>()) {
      return unsupported("background",
                         "Responses are not kept to be asked for; wait for the answer, or stream "
                         "it.");
    }
    members.erase("background");  // of images it is another field
  }
  if (member_of(members, "conversation") != nullptr)
    return unsupported("conversation", "No conversations are kept; send the talk as 'input'.");
  if (const Raw* const prompt = member_of(members, "prompt");
      prompt != nullptr && prompt->is_object())
    return unsupported("prompt", "No prompts are kept; send the words as 'input'.");
  for (const char* name : {"model", "previous_response_id"}) {
    const Raw* const said = member_of(members, name);
    if (said != nullptr && !said->is_string())
      return invalid_type(name, "a string", Json::Access::wrap(*said));
  }
  const Raw* const tools = member_of(members, "tools");
  if (tools != nullptr && !tools->is_array())
    return invalid_type("tools", "an array", Json::Access::wrap(*tools));
  if (const Raw* const text = member_of(members, "text"); text != nullptr && text->is_object()) {
    if (auto fault = fault_of_form(*text, "format")) {
      fault->field = "text.format";
      return fault;
    }
  }
  return fault_of_tool_choice(members, true);
}

// Moves the items of `input` into messages as chat has them.
Raw messages_of(Raw& input) {
  Raw messages = Raw::array();
  if (input.is_string()) {
    messages.push_back({{"role", "user"}, {"content", std::move(input)}});
    return messages;
  }
  for (Raw& item : input) {
    if (!item.is_object()) continue;
    const std::string type = text_of(item, "type");
    const std::string id = text_of(item, "id");
    if (type == "image_generation_call" ||
        (type == "item_reference" && id.starts_with(call_prefix))) {
      const auto result = item.find("result");
      const bool is_whole = result != item.end() && result->is_string() && !result->empty() &&
                            !result->get_ref<const std::string&>().empty();
      Raw image = is_whole ? std::move(*result) : Raw(id);
      messages.push_back({{"role", "assistant"}, {"images", {std::move(image)}}});
    } else if (item.contains("role") && (type.empty() || type == "message")) {
      messages.push_back(std::move(item));
    }
  }
  return messages;
}

// Takes the ids among the pictures of the answer before.
std::vector<std::string> take_references(Raw& earlier) {
  std::vector<std::string> references;
  Raw rest = Raw::array();
  for (Raw& picture : earlier) {
    if (picture.is_string() && picture.get_ref<const std::string&>().starts_with(call_prefix)) {
      references.push_back(picture.get<std::string>());
    } else {
      rest.push_back(std::move(picture));
    }
  }
  earlier = std::move(rest);
  return references;
}

// The fields of the image tool become those of images.
void read_tool(const Raw& tools, Raw& members, ResponseRequest& request) {
  constexpr std::array<std::string_view, 8> of_images = {
      "size",       "quality",        "background",         "output_format",
      "moderation", "input_fidelity", "output_compression", "aspect_ratio"};
  constexpr std::array<std::string_view, 4> known = {"type", "model", "action", "partial_images"};
  for (const Raw& tool : tools) {
    if (!tool.is_object() || text_of(tool, "type") != "image_generation") continue;
    request.has_tool = true;
    request.tool_model = text_of(tool, "model");
    request.may_edit = text_of(tool, "action") != "generate";
    for (auto one = tool.begin(); one != tool.end(); ++one) {
      if (one->is_null() || std::ranges::find(known, one.key()) != known.end()) continue;
      if (one.key() == "input_image_mask") {
        members["mask"] = *one;
      } else if (std::ranges::find(of_images, one.key()) != of_images.end()) {
        members[one.key()] = *one;
      } else if (request.leftovers.size() < most_leftovers) {
        request.leftovers.emplace_back(
            "tools", fmt::format("'{}' of the image tool has no effect", shown(one.key())));
      }
    }
    return;
  }
}

}  // namespace

Result<ResponseRequest> parse_response_request(
    std::string_view body, const RequestLimits& limits, const Codecs& codecs, MemoryBudget* memory,
    const std::function<bool(std::string_view)>& is_ours) {
  Result<Raw> parsed = parse_members(body, limits);
  if (!parsed) return std::move(parsed).error();
  Raw& members = *parsed;
  if (auto fault = check_members(members)) return *std::move(fault);
  const auto found = members.find(input_name);
  if (found == members.end() || found->is_null()) return missing_parameter(input_name);
  if (!found->is_array() && !found->is_string())
    return invalid_type(input_name, "a string or an array", Json::Access::wrap(std::move(*found)));
  Raw input = std::move(*found);
  members.erase(found);

  ResponseRequest request{.echo = echo_of(members)};
  request.model = text_of(members, "model");
  request.previous = text_of(members, "previous_response_id");
  Raw messages = messages_of(input);
  Result<Talk> talk = read_talk(messages, input_name, limits, is_ours);
  if (!talk) return std::move(talk).error();
  request.leftovers = std::move(talk->leftovers);
  request.chore = find_chore(*talk, members);
  if (const Raw* const tools = member_of(members, "tools"); tools != nullptr && tools->is_array())
    read_tool(Raw(*tools), members, request);
  if (request.chore.has_value()) {
    if (auto fault = read_model_and_stream(members, request.wish)) return *std::move(fault);
    return request;
  }
  if (auto fault = fault_of_prompt(*talk, input_name, limits)) return *std::move(fault);
  if (!request.may_edit) talk->earlier.clear();
  request.references = take_references(talk->earlier);
  drop_chat_fields(members);
  if (!request.tool_model.empty()) members["model"] = request.tool_model;
  Result<TalkWish> wish = read_talk_wish(*talk, members, limits, codecs, memory);
  if (!wish) return talk_error(std::move(wish).error(), input_name);
  request.wish = std::move(wish->wish);
  request.wish.n = 1;
  request.wish.makes_one = true;
  request.wish.partial_images.reset();
  request.earlier = std::move(wish->earlier);
  if (!request.wish.images.empty()) request.references.clear();
  return request;
}

}  // namespace falproxy::inline v0::openai
